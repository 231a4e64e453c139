import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** A program that a test started, with all that it said. */
export interface Started {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Everything on stdout and stderr so far, in the order of arrival. */
  readonly output: () => string;
  /** Resolves when the program ended and all that it said was read. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

export function start(command: string, args: readonly string[], options: SpawnOptions = {}): Started {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8');
    stream?.on('data', (text: string) => said.push(text));
  }
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('error', (error) => {
      said.push(`${error.message}\n`);
      if (child.pid === undefined) resolve({ code: 127, signal: null });
    });
    child.on('exit', (code, signal) => {
      const done = (): void => resolve({ code, signal });
      // What it said last may still be in the pipe; who inherited the pipe may hold it open for ever.
      child.on('close', done);
      setTimeout(done, 2_000).unref();
    });
  });
  return { child, pid: child.pid ?? 0, output: () => said.join(''), ended };
}

/** A process as the kernel knows it: the start time tells it from a later one with the same pid. */
interface Identity {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly startTime: string;
  readonly state: string;
}

function identityOf(pid: number): Identity | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { pid, name, state: fields[0] ?? '', parent: Number(fields[1]), startTime: fields[19] ?? '' };
  } catch {
    return null;
  }
}

/** The process and everything below it, parents first. */
export function familyOf(pid: number): readonly Identity[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => identityOf(Number(name)) ?? []);
  const family = all.filter((p) => p.pid === pid);
  for (const member of family) family.push(...all.filter((p) => p.parent === member.pid));
  return family;
}

const lives = (p: Identity): boolean => {
  const now = identityOf(p.pid);
  return now !== null && now.startTime === p.startTime && now.state !== 'Z';
};

/**
 * Ends a program by its pid: asks first, and after `graceMs` takes it by force with all that it started.
 *
 * @throws when it had to be forced, or when a process that it had started is still there afterwards: a leftover is a
 *   failure of the test, not something to tidy up quietly.
 */
export async function end(
  program: Started,
  { signal = 'SIGTERM' as NodeJS.Signals, graceMs = 20_000 } = {},
): Promise<void> {
  const family = familyOf(program.pid);
  program.child.kill(signal);
  const asked = await Promise.race([program.ended.then(() => true), sleep(graceMs).then(() => false)]);
  // A child may take a moment longer than its parent.
  for (let i = 0; i < 40 && family.some(lives); i += 1) await sleep(50);
  const leftover = family.filter(lives);
  for (const p of leftover) kill(p.pid);
  if (!asked)
    throw new Error(
      `${program.child.spawnfile} (pid ${program.pid}) did not end within ${graceMs} ms of ${signal}\n${program.output()}`,
    );
  if (leftover.length > 0) throw new Error(`left over: ${leftover.map((p) => `${p.name} (pid ${p.pid})`).join(', ')}`);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself meanwhile.
  }
}

/** A port that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Tries until it is so. @throws after `timeoutMs`, naming what was waited for. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await sleep(25);
  }
}
