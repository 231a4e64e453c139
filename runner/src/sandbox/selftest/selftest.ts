import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { EGRESS_PORT, environmentOf } from '../../session/environment.ts';
import { makeSessionId } from '../../session/session-id.ts';
import type { Backend, Trace } from '../backend.ts';
import { PROBES, type Probe } from './probes.ts';

/** What one probe showed. */
export interface ProbeResult {
  readonly row: string;
  readonly name: string;
  /** The attack did not succeed inside. */
  readonly refused: boolean;
  /** It was counted; null: there is no counter for it. */
  readonly counted: boolean | null;
  /** The same try works outside: the probe can tell. */
  readonly control: boolean;
  /** Nothing of its sandbox was left. */
  readonly gone: boolean;
  readonly ok: boolean;
}

const MB = 1024 * 1024;

/** Runs the probes one after another, each in a sandbox of its own. */
export async function* selftest(
  backend: Backend,
  root: string | null,
  row: string | null,
): AsyncGenerator<ProbeResult> {
  const directory = mkdtempSync(join(tmpdir(), 'keywarden-selftest-'));
  const egressSocket = join(directory, 'edge.sock');
  const egress = createServer((_, response) => response.end()).listen(egressSocket);
  try {
    for (const probe of PROBES)
      if (row === null || probe.row === row) yield await tried(backend, root, directory, probe);
  } finally {
    egress.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function tried(backend: Backend, root: string | null, directory: string, probe: Probe): Promise<ProbeResult> {
  const session = makeSessionId();
  const folder = join(directory, session);
  mkdirSync(folder, { mode: 0o700 });
  const stdout = new PassThrough();
  let said = '';
  stdout.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  const traces: Trace[] = [];
  const sandbox = await backend.start(
    {
      session,
      argv: ['python3', '-c', probe.script],
      env: environmentOf([], true),
      workdir: '/home/agent',
      mounts: [],
      limits: { memoryBytes: 256 * MB, cpus: 1, pids: 64, openFiles: 256, fileBytes: 16 * MB, tmpBytes: 16 * MB },
      deadlineAt: Date.now() + 30_000,
      graceMs: 500,
      folder,
      egressSocket: join(directory, 'edge.sock'),
      egressPort: EGRESS_PORT,
      streams: { kind: 'piped', stdin: null, stdout, stderr: new PassThrough().resume() },
      tty: false,
      root,
      decoys: true,
    },
    { traced: async (trace) => void traces.push(trace) },
  );
  await sandbox.exited;
  await backend.sweep(session, traces, folder);
  const left = await backend.leftovers(session, traces, folder);
  const counters = sandbox.counters();
  const countable = counters.sources.length > 0 && !(backend.name === 'docker' && probe.byEngineToo);
  const result = {
    row: probe.row,
    name: probe.name,
    refused: said.trim() === 'refused',
    counted: countable ? (probe.counted?.(counters) ?? null) : null,
    control: (await outside(probe.control ?? probe.script)) === 'reached',
    gone: left.length === 0,
  };
  return { ...result, ok: result.refused && result.counted !== false && result.control && result.gone };
}

/** The same try without a sandbox. */
const outside = (script: string): Promise<string> =>
  new Promise((resolve) => {
    execFile('python3', ['-c', script], { timeout: 10_000 }, (_, stdout) => resolve(stdout.trim()));
  });
