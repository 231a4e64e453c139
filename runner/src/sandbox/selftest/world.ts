import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { INSIDE_HOME } from '../../session/environment.ts';
import { makeSessionId } from '../../session/session-id.ts';
import type { Backend, Counters, Exit, Leftover, Sandbox, SandboxSpec, Trace } from '../backend.ts';
import { type Egress, openEgress } from '../egress/open-egress.ts';
import { buildProbe } from './build-probe.ts';

const MB = 1024 * 1024;
const INSIDE = '/keywarden-selftest';
export const TMP_MEGABYTES = 16;
export const PIDS = 96;

/** What a probe said: its attempts, and which of them got through. */
export interface Said {
  readonly stdout: string;
  readonly attempts: number;
  readonly through: readonly string[];
  readonly exit: { readonly code: number | null };
}

export interface Running {
  readonly sandbox: Sandbox;
  readonly session: string;
  readonly traces: readonly Trace[];
  readonly folder: string;
  readonly said: () => string;
  readonly ended: Promise<Said & { readonly exit: Exit; readonly counters: Counters }>;
}

export interface Inside {
  readonly env?: Readonly<Record<string, string>>;
  readonly decoys?: boolean;
  readonly workdir?: string;
  readonly timeoutMs?: number;
  /** A writable folder of the runner's own user: as root the agent then keeps root's uid. */
  readonly ownFolder?: boolean;
}

export interface Settings {
  /** A root folder or an image; null: the backend's default. */
  readonly root: string | null;
  readonly raceSeconds: number;
}

/** A place to attack from: real sandboxes of one backend, and for the controls a home on the host with secrets in it. */
export class World {
  readonly backend: Backend;
  readonly raceSeconds: number;
  readonly directory: string;
  /** What any of its sandboxes left. */
  readonly left: Leftover[] = [];
  /** Of this run alone; wherever it turns up, something leaked. */
  readonly canary = `kwself${randomBytes(12).toString('hex')}`;
  readonly #root: string | null;
  readonly #program: string;
  readonly #socket: string;
  readonly #closing: (() => unknown)[];

  private constructor(
    backend: Backend,
    { root, raceSeconds }: Settings,
    directory: string,
    program: string,
    closing: (() => unknown)[],
  ) {
    this.backend = backend;
    this.#root = root;
    this.raceSeconds = raceSeconds;
    this.directory = directory;
    this.#program = program;
    this.#socket = join(directory, 'egress');
    this.#closing = closing;
  }

  static async open(backend: Backend, settings: Settings): Promise<World> {
    const directory = mkdtempSync(join(tmpdir(), 'kwself-'));
    try {
      return await World.#openIn(directory, backend, settings);
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  static async #openIn(directory: string, backend: Backend, settings: Settings): Promise<World> {
    mkdirSync(join(directory, 'probe'), { mode: 0o755 });
    mkdirSync(join(directory, 'own'), { mode: 0o755 });
    const program = await buildProbe(join(directory, 'probe'));
    chmodSync(join(directory, 'probe'), 0o755);
    const edge = createServer((_, answer) => answer.end('edge'));
    await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(edge.address() as AddressInfo).port}`;
    const egress: Egress = await openEgress(join(directory, 'egress'), url);
    return new World(backend, settings, directory, program, [() => egress.close(), () => edge.close()]);
  }

  async close(): Promise<void> {
    for (const close of this.#closing.toReversed()) await close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  onClose(close: () => unknown): void {
    this.#closing.push(close);
  }

  /** Starts a probe in a sandbox of its own. */
  async start(probe: readonly string[], { env, decoys, workdir, timeoutMs, ownFolder }: Inside = {}): Promise<Running> {
    const session = makeSessionId();
    const folder = join(this.directory, session);
    mkdirSync(folder, { mode: 0o700 });
    const out = new PassThrough();
    let text = '';
    out.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    const traces: Trace[] = [];
    const spec: SandboxSpec = {
      session,
      argv: [`${INSIDE}/probe`, ...probe],
      env: { HOME: INSIDE_HOME, PATH: '/usr/bin:/bin', TMPDIR: '/tmp', ...env },
      workdir: workdir ?? INSIDE_HOME,
      mounts: [
        { source: dirname(this.#program), destination: INSIDE, writable: false },
        ...(ownFolder ? [{ source: this.path('own'), destination: '/work', writable: true }] : []),
      ],
      limits: {
        memoryBytes: 256 * MB,
        cpus: 2,
        pids: PIDS,
        openFiles: 256,
        fileBytes: 512 * MB,
        tmpBytes: TMP_MEGABYTES * MB,
      },
      deadlineAt: Date.now() + (timeoutMs ?? (this.raceSeconds + 60) * 1000),
      graceMs: 500,
      folder,
      egressSocket: this.#socket,
      egressPort: 8787,
      streams: { kind: 'piped', stdin: null, stdout: out, stderr: out },
      tty: false,
      root: this.#root,
      decoys: decoys ?? true,
    };
    const sandbox = await this.backend.start(spec, { traced: async (trace) => void traces.push(trace) });
    const ended = sandbox.exited.then(async (exit) => {
      await this.backend.sweep(session, traces, folder);
      this.left.push(...(await this.backend.leftovers(session, traces, folder)));
      return { ...saidOf(text), exit, counters: sandbox.counters() };
    });
    ended.catch(() => {});
    return { sandbox, session, traces, folder, said: () => text, ended };
  }

  /** The same probe on the host, where it must get through: else it proves nothing inside. */
  async outside(
    probe: readonly string[],
    options: { env?: Record<string, string>; extraFd?: boolean; cwd?: string } = {},
  ): Promise<Said> {
    const { child, said } = this.spawn(probe, options);
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { ...saidOf(said()), exit: { code } };
  }

  /** A process of the host's, in a home of its own with secrets in it. */
  spawn(
    probe: readonly string[],
    { env, extraFd, cwd }: { env?: Record<string, string>; extraFd?: boolean; cwd?: string } = {},
  ): { child: ChildProcess; said: () => string } {
    const home = mkdtempSync(join(this.directory, 'home-'));
    for (const path of ['.aws/credentials', '.ssh/id_rsa', '.config/kept', 'tmp/kept']) {
      mkdirSync(dirname(join(home, path)), { recursive: true });
      writeFileSync(join(home, path), `${this.canary}\n`);
    }
    const child = spawn(this.#program, probe, {
      cwd: cwd ?? home,
      env: { HOME: home, TMPDIR: join(home, 'tmp'), PATH: '/usr/bin:/bin', ...env },
      stdio: ['ignore', 'pipe', 'inherit', ...(extraFd ? ['pipe' as const] : [])],
      // A bomb ends its whole group.
      detached: true,
    });
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    this.onClose(() => child.exitCode ?? child.signalCode ?? child.kill('SIGKILL'));
    return { child, said: () => text };
  }

  /** A folder that holds this name on the host only. */
  path(name: string): string {
    return join(this.directory, name);
  }
}

function saidOf(stdout: string): Omit<Said, 'exit'> {
  const lines = stdout.split('\n');
  const attempts = lines.filter((line) => /^.+ (through|no|E[A-Z0-9]+|0)$/.test(line));
  return {
    stdout,
    attempts: attempts.length,
    through: attempts.filter((line) => line.endsWith(' through')).map((line) => line.slice(0, -' through'.length)),
  };
}

/** Waits until it holds; false when it never did. */
export async function until(holds: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  for (const end = performance.now() + withinMs; performance.now() < end; ) {
    if (await holds()) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return holds();
}
