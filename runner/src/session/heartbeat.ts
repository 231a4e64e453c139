import type { Counters, Sandbox } from '../sandbox/backend.ts';
import { wireCounters } from './counters.ts';
import type { EndCause } from './end-cause.ts';
import type { LeaseFile } from './lease.ts';
import type { SessionEdge } from './session-edge.ts';
import type { SessionListener } from './session-listener.ts';

const EVERY_MS = 3_000;

export interface HeartbeatOptions {
  readonly session: string;
  readonly edge: SessionEdge | null;
  readonly sandbox: Pick<Sandbox, 'counters'>;
  readonly file: Pick<LeaseFile, 'tryUpdate'>;
  readonly cause: EndCause;
  readonly listener: SessionListener;
  readonly everyMs?: number;
}

/**
 * Reports the counters while the session lives, and hears whether somebody asked for its end. An edge that is away changes
 * nothing: the session goes on to its deadline, and the receipt waits.
 */
export function startHeartbeat(options: HeartbeatOptions): { stop: () => void } {
  const { session, edge, sandbox, file, cause, listener } = options;
  let sequence = 0;
  let stopped = false;
  let told = '';
  const beat = async (): Promise<void> => {
    const counters = sandbox.counters();
    note(counters);
    if (edge === null) return;
    sequence += 1;
    try {
      if (await edge.report(session, sequence, wireCounters(counters))) cause.settle('stopped');
    } catch {
      // Told by the receipt's being late, if it lasts.
    }
  };
  const note = (counters: Counters): void => {
    const text = JSON.stringify(counters);
    if (text === told) return;
    told = text;
    file.tryUpdate({ counters });
    listener.counted(session, counters);
  };
  // One after the other: a slow edge is not asked twice at once.
  const loop = async (): Promise<void> => {
    while (!stopped) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, options.everyMs ?? EVERY_MS);
        timer.unref();
      });
      if (!stopped) await beat();
    }
  };
  void loop();
  return {
    stop: () => {
      stopped = true;
      note(sandbox.counters());
    },
  };
}
