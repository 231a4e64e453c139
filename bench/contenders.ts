import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, startKeywarden } from './keywarden.ts';
import type { Target } from './load.ts';
import { startProxy } from './nginx.ts';
import { CALLED, SECRET } from './policies.ts';
import { startWorker, type WorkerSource } from './workerd.ts';

export interface Contender {
  readonly name: ContenderName;
  /** As in the table. */
  readonly title: string;
  readonly target: Target;
  /** Whose CPU counts; none for the upstream itself. */
  readonly pids: readonly number[];
  readonly stop: () => Promise<void>;
}

export type ContenderName = 'direct' | 'nginx' | 'bare' | 'object' | 'keywarden';

export const CREDENTIAL = `Bearer ${SECRET.value}`;
export const OPERATIONS = 1_000;

interface Setting {
  readonly upstream: string;
  /** Temporary; each contender has its own corner of it. */
  readonly directory: string;
}

/** How each contender is started. All stand in front of the same upstream, in the order of the table. */
export const CONTENDERS: Readonly<
  Record<ContenderName, { title: string; start: (setting: Setting) => Promise<Contender> }>
> = {
  direct: {
    title: 'direct',
    start: async ({ upstream }) => ({
      name: 'direct',
      title: 'direct',
      // Nobody stands between to inject it.
      target: { url: upstream + CALLED.path, headers: { authorization: CREDENTIAL } },
      pids: [],
      stop: async () => {},
    }),
  },
  nginx: {
    title: 'nginx, injecting a header',
    start: async ({ upstream, directory }) => {
      const proxy = await startProxy(join(directory, 'nginx-proxy'), upstream, CREDENTIAL);
      return {
        name: 'nginx',
        title: 'nginx, injecting a header',
        target: plain(proxy.url),
        pids: [proxy.pid],
        stop: proxy.stop,
      };
    },
  },
  bare: {
    title: 'bare Worker: fetch',
    start: (setting) => startPlainWorker('bare', 'bare Worker: fetch', 'bare.js', setting),
  },
  object: {
    title: 'bare Worker: empty object call, fetch',
    start: (setting) =>
      startPlainWorker('object', 'bare Worker: empty object call, fetch', 'empty-object.js', setting, {
        env: { EMPTY: { type: 'durable-object', worker: 'object', exportName: 'Empty' } },
        exports: { Empty: { type: 'durable-object', storage: 'sqlite' } },
      }),
  },
  keywarden: {
    title: 'Keywarden',
    start: async ({ upstream, directory }) => {
      const built = await build(directory, upstream, OPERATIONS);
      const keywarden = await startKeywarden(built, join(directory, 'keywarden'));
      return {
        name: 'keywarden',
        title: 'Keywarden',
        target: keywarden.target,
        pids: [keywarden.pid],
        stop: keywarden.stop,
      };
    },
  },
};

/** What a client without the credential sends: a header of the same size, so that the requests weigh the same. */
const plain = (url: string): Target => ({
  url: url + CALLED.path,
  headers: { 'x-client': CREDENTIAL.replaceAll(/[a-z0-9]/g, 'x') },
});

async function startPlainWorker(
  name: 'bare' | 'object',
  title: string,
  file: string,
  { upstream, directory }: Setting,
  more: { env?: WorkerSource['env']; exports?: NonNullable<WorkerSource['exports']> } = {},
): Promise<Contender> {
  const worker = await startWorker({
    name,
    code: readFileSync(join(import.meta.dirname, 'workers', file), 'utf8'),
    env: { UPSTREAM: { type: 'text', value: upstream }, CREDENTIAL: { type: 'text', value: CREDENTIAL }, ...more.env },
    ...(more.exports === undefined ? {} : { exports: more.exports }),
    storage: join(directory, name),
  });
  return { name, title, target: plain(worker.url), pids: [worker.pid], stop: worker.stop };
}
