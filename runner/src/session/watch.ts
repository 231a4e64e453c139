import { existsSync } from 'node:fs';
import { bootMs } from './boot-clock.ts';
import type { EndCause } from './end-cause.ts';

export interface Watch {
  /** Resolves when the same signal comes again after a moment: no more patience. */
  readonly impatient: Promise<void>;
  /** The signal that asked for the end; SIGTERM when none did. */
  readonly signal: () => NodeJS.Signals;
  /** Ms until the deadline, by the clock that does not stop. */
  readonly leftMs: () => number;
  readonly elapsedMs: () => number;
  readonly close: () => void;
}

export interface WatchOptions {
  readonly timeoutMs: number;
  /** Appears when somebody on this host asks for the end. */
  readonly stopFile: string;
  readonly cause: EndCause;
}

const TICK_MS = 250;
/**
 * One Ctrl-C may arrive more than once: from the terminal, from a parent that hands it on, and as a SIGTERM from a parent that
 * cleans up after it. Whoever has lost patience asks again later.
 */
const ONE_WISH_MS = 500;
/**
 * What ends a process that does not ask for it, and a terminal or a supervisor may send. Left to itself Node answers SIGUSR1 by
 * opening its debugger to every user of this host; this process holds the secrets.
 */
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'];

/**
 * The runner's own watch over a session: its deadline, the signals it gets, and the stop file. The deadline is kept twice: by
 * a timer (monotonic, exact, but standing still while the host sleeps) and on every tick by the time since boot, which counts
 * sleep too. A jump of the wall clock moves neither.
 */
export function watchOver({ timeoutMs, stopFile, cause }: WatchOptions): Watch {
  const began = bootMs();
  const leftMs = (): number => began + timeoutMs - bootMs();
  const impatience = Promise.withResolvers<void>();
  let signalled: NodeJS.Signals | null = null;
  const cameAt = new Map<NodeJS.Signals, number>();
  const onSignal = (signal: NodeJS.Signals): void => {
    const before = cameAt.get(signal);
    if (before === undefined) cameAt.set(signal, bootMs());
    else if (bootMs() - before >= ONE_WISH_MS) impatience.resolve();
    signalled ??= signal;
    cause.settle('interrupted');
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  // Longer than a timer can wait is longer than a session may last (24 h), so this never overflows.
  const timer = setTimeout(() => cause.settle('deadline'), timeoutMs);
  const tick = setInterval(() => {
    if (leftMs() <= 0) cause.settle('deadline');
    else if (existsSync(stopFile)) cause.settle('stopped');
  }, TICK_MS);
  return {
    impatient: impatience.promise,
    signal: () => (cause.reason === 'interrupted' && signalled !== null ? signalled : 'SIGTERM'),
    leftMs,
    elapsedMs: () => bootMs() - began,
    close: () => {
      clearTimeout(timer);
      clearInterval(tick);
      for (const signal of SIGNALS) process.off(signal, onSignal);
    },
  };
}
