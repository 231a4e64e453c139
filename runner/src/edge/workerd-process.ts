import { type ChildProcess, spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { basename } from 'node:path';

/**
 * Watches the workerd that miniflare starts: which process it is, that it never outlives us, and that it does not end before us.
 *
 * Miniflare kills workerd when Node exits in an orderly way, but nothing does after a SIGKILL of ours: so each workerd
 * gets a guard, a shell that waits for the end of its standard input (the kernel closes it with us) and then kills.
 */
export class WorkerdWatch {
  #current: ChildProcess | null = null;
  #guard: ChildProcess | null = null;
  readonly #onExit: (child: ChildProcess) => void;
  readonly #onCreated = (message: unknown): void => {
    const child = (message as { process?: ChildProcess }).process;
    if (child === undefined) return;
    detachWorkerd(child);
    // Published before the process exists; its pid is known one tick later.
    queueMicrotask(() => this.#adopt(child));
  };

  /** @param onExit  called when the newest workerd ended, wanted or not. */
  constructor(onExit: (child: ChildProcess) => void) {
    this.#onExit = onExit;
    subscribe('child_process', this.#onCreated);
  }

  get pid(): number | null {
    return this.#current?.pid ?? null;
  }

  /** Stops watching; the guard goes with the process it guards. */
  stop(): void {
    unsubscribe('child_process', this.#onCreated);
    this.#guard?.kill('SIGKILL');
    this.#guard = null;
  }

  #adopt(child: ChildProcess): void {
    if (child.pid === undefined || !isWorkerd(child.spawnfile)) return;
    this.#guard?.kill('SIGKILL');
    this.#current = child;
    this.#guard = guard(child.pid);
    child.once('exit', () => {
      if (this.#current !== child) return;
      this.#current = null;
      this.#guard?.kill('SIGKILL');
      this.#guard = null;
      this.#onExit(child);
    });
  }
}

const isWorkerd = (program: string | undefined): boolean => basename(program ?? '').startsWith('workerd');

/**
 * Gives workerd a process group of its own: Ctrl-C in the terminal would end it before the sessions that end by the same Ctrl-C
 * have sent their receipts. Miniflare has no option for it, so the child's own `spawn` is wrapped, which Node calls next.
 */
function detachWorkerd(child: ChildProcess): void {
  const spawning = child as ChildProcess & { spawn?: (options: { file?: string; detached?: boolean }) => unknown };
  const original = spawning.spawn;
  if (original === undefined) return;
  spawning.spawn = (options) =>
    original.call(child, isWorkerd(options.file) ? { ...options, detached: true } : options);
}

function guard(pid: number): ChildProcess {
  const child = spawn(
    '/bin/sh',
    ['-c', 'trap "" INT TERM HUP; read -r _; kill -9 "$1" 2>/dev/null', 'keywarden-guard', String(pid)],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
      // Its own process group, so that Ctrl-C in the terminal does not reach it before it reaches workerd.
      detached: true,
      env: {},
    },
  );
  child.on('error', () => {});
  child.stdin?.on('error', () => {});
  child.unref();
  (child.stdin as { unref?: () => void } | null)?.unref?.();
  return child;
}
