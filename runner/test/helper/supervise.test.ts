import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import type { SandboxSpec } from '../../src/sandbox/backend.ts';
import { namespaceBackend } from '../../src/sandbox/namespace/backend.ts';
import { findProcesses } from '../../src/sandbox/namespace/find.ts';
import { identityOf } from '../../src/sandbox/namespace/identity.ts';
import { layDown } from '../../src/sandbox/namespace/lay-down.ts';
import { etcEntries } from '../../src/sandbox/namespace/system.ts';
import { makeSessionId } from '../../src/session/session-id.ts';

const above = mkdtempSync(join(tmpdir(), 'keywarden-left-'));
afterAll(() => rmSync(above, { recursive: true, force: true }));

const ROUNDS = 300;
/** bubblewrap's start, from its first fork until PID 1 of the sandbox listens. */
const START_MS = 12;

/** Command line of a supervisor whose agent sleeps, with all that its mounts show laid down. */
async function laidDown(): Promise<{ session: string; counts: string; supervise: readonly string[] }> {
  const session = makeSessionId();
  const folder = join(above, session);
  mkdirSync(folder, { mode: 0o700 });
  const spec: SandboxSpec = {
    session,
    folder,
    argv: ['/bin/sleep', '300'],
    env: { HOME: '/home/agent' },
    workdir: '/',
    mounts: [],
    limits: { memoryBytes: 2 ** 29, cpus: 1, pids: 64, openFiles: 64, fileBytes: 2 ** 20, tmpBytes: 2 ** 20 },
    deadlineAt: Date.now() + 600_000,
    graceMs: 500,
    // Nobody gets as far as to use it.
    egressSocket: '/dev/null',
    egressPort: 8787,
    streams: { kind: 'inherit' },
    tty: false,
    root: null,
    decoys: true,
  };
  layDown(folder, identityOf(spec), etcEntries(null), true);
  const planned = (await namespaceBackend().plan(spec)).at(-1)?.argv ?? [];
  return { session, counts: join(folder, 'counts'), supervise: planned.slice(planned.indexOf('supervise') - 1) };
}

it('left by its runner at any moment of the start, the supervisor leaves nothing behind (B61)', async () => {
  const { session, counts, supervise } = await laidDown();
  const alone: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const afterMs = (round / ROUNDS) * START_MS;
    const started = start(supervise, counts);
    const ended = new Promise<void>((resolve) => started.once('exit', () => resolve()));
    descriptor(started, 5).end('HOME=/home/agent\0');
    // A timer knows whole milliseconds only.
    for (const from = performance.now(); performance.now() - from < afterMs; ) {}
    descriptor(started, 4).destroy();
    await ended;
    // What is killed may need a moment to be gone.
    for (let tries = 0; tries < 50 && findProcesses(session, []).length > 0; tries++) await sleep(20);
    for (const { pid, name } of findProcesses(session, [])) {
      alone.push(`${name}, left after ${afterMs.toFixed(2)} ms`);
      process.kill(pid, 'SIGKILL');
    }
  }
  expect(alone).toEqual([]);
});

it('without an environment the supervisor starts nothing: its runner has not yet written down that it is there (B61)', async () => {
  const { session, counts, supervise } = await laidDown();
  const started = start(supervise, counts);
  const ended = new Promise<void>((resolve) => started.once('exit', () => resolve()));
  const names = (): string[] => findProcesses(session, []).map(({ name }) => name);
  await expect.poll(names).toEqual(['keywarden-helpe']);
  await sleep(500);
  expect(names()).toEqual(['keywarden-helpe']);
  descriptor(started, 5).end('HOME=/home/agent\0');
  await expect.poll(names).toContain('sleep');
  descriptor(started, 4).destroy();
  await ended;
  await expect.poll(names).toEqual([]);
});

/** As `start.ts` of the namespace backend does, its output apart. */
function start(supervise: readonly string[], counts: string): ChildProcess {
  const fd = openSync(counts, 'w+', 0o600);
  const [program = '', ...argv] = supervise;
  const child = spawn(program, argv, { env: {}, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe', 'pipe', fd] });
  closeSync(fd);
  for (const number of [4, 5]) descriptor(child, number).on('error', () => {});
  return child;
}

const descriptor = (child: ChildProcess, number: number): Writable =>
  (child.stdio as readonly unknown[])[number] as Writable;
