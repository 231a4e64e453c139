import { existsSync } from 'node:fs';
import { bootMs } from './boot-clock.ts';
import type { EndCause } from './end-cause.ts';

export interface Watch {
  /** Resolves when a second signal comes: no more patience. */
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
const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

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
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signalled !== null) impatience.resolve();
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
