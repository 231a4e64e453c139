import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Runs the real command line as a user does: a process of its own, its output and exit code kept. */

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const BIN = join(ROOT, 'runner/bin/keywarden.js');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly node?: string;
  readonly bin?: string;
  /** Another user, when this one is root. */
  readonly uid?: number;
}

export function keywarden(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const child = begin(args, options);
  return ended(child);
}

export function begin(args: readonly string[], options: RunOptions = {}): ChildProcess {
  return spawn(options.node ?? process.execPath, [options.bin ?? BIN, ...args], {
    cwd: options.cwd ?? ROOT,
    env: { ...clean(process.env), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.uid === undefined || process.getuid?.() !== 0 ? {} : { uid: options.uid, gid: options.uid }),
  });
}

export async function ended(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr?.on('data', (chunk) => (stderr += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

/** Without what a shell or vitest may have set that changes what the command line does. */
function clean(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const {
    KEYWARDEN_URL: _u,
    KEYWARDEN_OPERATOR_KEY: _k,
    NODE_OPTIONS: _n,
    NODE_ENV: _e,
    FORCE_COLOR: _f,
    ...rest
  } = env;
  return rest;
}

export interface Dev {
  readonly url: string;
  readonly child: ChildProcess;
  readonly stateDir: string;
  /** What stderr said until now. */
  readonly said: () => string;
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>;
}

/** `keywarden dev`, once it said that it serves. */
export async function dev(args: readonly string[], stateDir: string, options: RunOptions = {}): Promise<Dev> {
  const child = begin(['dev', '--port', '0', '--state', stateDir, ...args], options);
  let stdout = '';
  let stderr = '';
  child.stderr?.on('data', (chunk) => (stderr += String(chunk)));
  const over = new Promise<number | null>((resolve) => child.once('close', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', (chunk) => {
      stdout += String(chunk);
      const ready = /^ready (http:\S+)\n/.exec(stdout);
      if (ready?.[1]) resolve(ready[1]);
    });
    void over.then((code) => reject(new Error(`keywarden dev ended with ${code}: ${stderr}`)));
  });
  const stop = (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    if (child.exitCode === null) child.kill(signal);
    return over;
  };
  return { url, child, stateDir, said: () => stderr, stop };
}

/** A directory of its own for one test; the function that removes it comes with it. */
export function scratch(): {
  readonly path: string;
  readonly file: (name: string, text: string, mode?: number) => string;
  readonly remove: () => void;
} {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'keywarden-cli-')));
  return {
    path,
    file: (name, text, mode = 0o644) => {
      const to = join(path, name);
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to, text, { mode });
      return to;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** A Node on this machine that cannot strip types, or null. */
export function oldNode(): string | null {
  for (const directory of new Set([...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'])) {
    const node = join(directory, 'node');
    if (!existsSync(node)) continue;
    const asked = spawnSync(node, ['-p', 'process.features.typescript ? "new" : "old"'], { encoding: 'utf8' });
    if (asked.stdout?.trim() === 'old') return node;
  }
  return null;
}

export async function until(what: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await what())) {
    if (Date.now() > deadline) throw new Error('it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The pids of the children (and theirs) of a process whose command line holds `text`. */
export function descendants(pid: number, text: string): number[] {
  const listed = spawnSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).stdout;
  const rows = listed
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .filter((row) => row !== null);
  const below = new Set([pid]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const [, child, parent] of rows) {
      if (below.has(Number(parent)) && !below.has(Number(child))) {
        below.add(Number(child));
        grew = true;
      }
    }
  }
  return rows
    .filter(([, child, , args]) => Number(child) !== pid && below.has(Number(child)) && args?.includes(text))
    .map(([, child]) => Number(child));
}
