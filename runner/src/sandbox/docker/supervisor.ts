import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../failure.ts';
import { startTimeOf } from '../../state/process-identity.ts';
import type { Counters, Trace } from '../backend.ts';
import { Counts, type HelperEvent } from '../namespace/counts.ts';

type Event<Kind> = Extract<HelperEvent, { event: Kind }>;

const LISTEN_PATIENCE_MS = 10_000;
const END_PATIENCE_MS = 2_000;

/**
 * `keywarden-helper supervise` on the host: hands the environment to PID 1 of the container and answers its notifications.
 * When the runner dies its life pipe closes, and PID 1 ends everything.
 */
export class Supervisor {
  readonly trace: Trace;
  /** PID 1 has its filter; rejects when the supervisor ends before. */
  readonly ready: Promise<void>;
  readonly closed: Promise<void>;
  readonly #child: ChildProcess;
  readonly #counts: Counts;
  #exited: Event<'exited'> | null = null;
  #said = '';

  private constructor(child: ChildProcess, pid: number, counts: Counts) {
    this.#child = child;
    this.#counts = counts;
    this.trace = { kind: 'process', pid, startTime: startTimeOf(pid) ?? '' };
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    this.ready.catch(() => {});
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-1000);
    });
    for (const number of [4, 5]) this.#pipe(number).on('error', () => {});
    createInterface({ input: this.#pipe(3) as Readable }).on('line', (line) => {
      const event = this.#counts.take(line);
      if (event?.event === 'ready') ready.resolve();
      else if (event?.event === 'exited') this.#exited = event;
    });
    this.closed = new Promise((resolve) => child.once('close', () => resolve(counts.finish())));
    void this.closed.then(() => ready.reject(this.failure()));
  }

  static async start(helper: string, argv: readonly string[], folder: string): Promise<Supervisor> {
    const counts = new Counts(folder);
    const child = spawn(helper, argv, {
      env: {},
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', 'pipe', counts.fd],
      // A session of its own: Ctrl-C at the runner's terminal is the runner's to pass on, once.
      detached: true,
    });
    if (child.pid !== undefined) return new Supervisor(child, child.pid, counts);
    const why = await new Promise<Error>((resolve) => child.once('error', resolve));
    counts.finish();
    throw new Failure(`the sandbox helper cannot be started: ${why.message}`, 'keywarden doctor');
  }

  /** The environment goes by a pipe. Resolves when the supervisor waits for PID 1 at `control`. */
  async listen(env: Readonly<Record<string, string>>, control: string): Promise<void> {
    (this.#pipe(5) as Writable).end(
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}\0`)
        .join(''),
    );
    for (const until = performance.now() + LISTEN_PATIENCE_MS; !existsSync(control); await sleep(1)) {
      if (this.#child.exitCode !== null || performance.now() > until) throw this.failure();
    }
  }

  tell(message: Buffer): void {
    const life = this.#pipe(4) as Writable;
    if (life.writable) life.write(message);
  }

  /** How PID 1 says that the agent ended. */
  get exited(): Event<'exited'> | null {
    return this.#exited;
  }

  counters(): Counters {
    return this.#counts.counters();
  }

  failure(): Failure {
    const why = this.#said.trim().split('\n').at(-1);
    return new Failure(
      `the sandbox did not start${why ? `: ${why}` : ''}`,
      'what it said is above; keywarden doctor tells what is missing',
    );
  }

  /** It ends by itself when PID 1 has told its last; one that hangs is killed. */
  async end(patienceMs: number = END_PATIENCE_MS): Promise<void> {
    await Promise.race([this.closed, sleep(patienceMs, undefined, { ref: false })]);
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.closed;
  }

  /** Node's types know of five descriptors only. */
  #pipe(number: number): Readable | Writable {
    return (this.#child.stdio as readonly unknown[])[number] as Readable | Writable;
  }
}
