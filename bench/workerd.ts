import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { basename } from 'node:path';
import { Miniflare, type MiniflareOptions } from 'miniflare';
import { offeredPort } from '../runner/src/edge/address.ts';
import { readWorkerSettings } from '../runner/src/edge/worker-settings.ts';

type WorkerConfig = NonNullable<MiniflareOptions['workers'][number]['config']>;

export interface WorkerSource {
  readonly name: string;
  /** One ES module. */
  readonly code: string;
  readonly env: NonNullable<WorkerConfig['env']>;
  readonly exports?: NonNullable<WorkerConfig['exports']>;
  /** Where Durable Objects and D1 keep their files. */
  readonly storage: string;
  /** Opens the inspector, for a profile. */
  readonly inspectorPort?: number;
}

/** One Worker in a workerd of its own. */
export interface Worker {
  readonly url: string;
  readonly pid: number;
  readonly miniflare: Miniflare;
  readonly stop: () => Promise<void>;
}

/** Starts a Worker as `keywarden dev` does: the same settings for every contender, on a direct socket. One at a time. */
export async function startWorker(source: WorkerSource): Promise<Worker> {
  const { compatibilityDate, compatibilityFlags } = readWorkerSettings();
  const port = await offeredPort('127.0.0.1', 0);
  const spawned = nextWorkerd();
  const miniflare = new Miniflare({
    host: '127.0.0.1',
    port: 0,
    cf: false,
    logRequests: false,
    telemetry: { enabled: false },
    enableDevRegistry: false,
    resourcePersistencePath: source.storage,
    isolatedResourcePersistencePath: source.storage,
    handleStructuredLogs: ({ message, level }) => console.error(`${source.name} ${level}: ${message}`),
    ...(source.inspectorPort === undefined ? {} : { inspectorPort: source.inspectorPort }),
    workers: [
      {
        config: {
          name: source.name,
          compatibilityDate,
          compatibilityFlags: [...compatibilityFlags],
          manifest: { mainModule: 'index.js', modules: { 'index.js': { type: 'esm', contents: source.code } } },
          env: source.env,
          ...(source.exports === undefined ? {} : { exports: source.exports }),
        },
        dev: { unsafeDirectSockets: [{ host: '127.0.0.1', port }], stripCfConnectingIp: false },
      },
    ],
  });
  try {
    await miniflare.ready;
    return { url: `http://127.0.0.1:${port}`, pid: spawned.pid(), miniflare, stop: () => miniflare.dispose() };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  } finally {
    spawned.forget();
  }
}

/** Miniflare does not tell which process it started. */
function nextWorkerd(): { pid: () => number; forget: () => void } {
  const children: ChildProcess[] = [];
  const onCreated = (message: unknown): void => {
    const child = (message as { process?: ChildProcess }).process;
    if (child !== undefined) children.push(child);
  };
  subscribe('child_process', onCreated);
  return {
    pid: () => {
      const pid = children.findLast((child) => basename(child.spawnfile ?? '').startsWith('workerd'))?.pid;
      if (pid === undefined) throw new Error('no workerd was started');
      return pid;
    },
    forget: () => unsubscribe('child_process', onCreated),
  };
}
