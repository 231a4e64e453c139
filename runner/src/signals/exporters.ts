import { randomBytes } from 'node:crypto';
import { appendFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { wireCounters } from '../session/counters.ts';
import type { SessionListener } from '../session/session-listener.ts';
import type { SessionMetrics } from './metrics.ts';

/** Keeps a file in Prometheus' text format current, whole at any time, as node_exporter's textfile collector wants it. */
export function metricsFile(
  path: string,
  metrics: SessionMetrics,
  say: (line: string) => void,
): SessionListener & {
  /** Resolves when what was told last stands in the file. */
  written(): Promise<void>;
} {
  let writing = Promise.resolve();
  let complained = false;
  const write = (): void => {
    writing = writing.then(async () => {
      const draft = `${path}.${randomBytes(4).toString('hex')}`;
      try {
        writeFileSync(draft, await metrics.text(), { mode: 0o644 });
        renameSync(draft, path);
      } catch (error) {
        rmSync(draft, { force: true });
        if (!complained) say(`metrics cannot be written: ${(error as Error).message}`);
        complained = true;
      }
    });
  };
  const then =
    <A extends unknown[]>(tell: (...args: A) => void) =>
    (...args: A): void => {
      tell(...args);
      write();
    };
  return {
    started: then(metrics.started),
    counted: then(metrics.counted),
    ended: then(metrics.ended),
    written: () => writing,
  };
}

/** Appends a JSON line for each thing that happens. No line holds a path, an argument or a secret. */
export function eventsFile(path: string, say: (line: string) => void): SessionListener {
  let complained = false;
  const append = (event: string, session: string, more: object): void => {
    try {
      const line = JSON.stringify({ at: new Date().toISOString(), event, session, ...more });
      appendFileSync(path, `${line}\n`, { mode: 0o600 });
    } catch (error) {
      if (!complained) say(`events cannot be written: ${(error as Error).message}`);
      complained = true;
    }
  };
  return {
    started: ({ session, agent, backend, deadlineAt }) =>
      append('session.started', session, { agent, backend, deadline: new Date(deadlineAt).toISOString() }),
    counted: (session, counters) => append('session.counted', session, { counters: wireCounters(counters) }),
    ended: ({ session_id, agent_id, reason, exit_code, at, counters, absence }) =>
      append('session.ended', session_id, {
        agent: agent_id,
        reason,
        exit_code,
        duration_ms: at.duration_ms,
        counters,
        absence_proven: absence.proven,
      }),
  };
}

export function allOf(listeners: readonly SessionListener[]): SessionListener {
  return {
    started: (lease) => listeners.forEach((one) => one.started(lease)),
    counted: (session, counters) => listeners.forEach((one) => one.counted(session, counters)),
    ended: (receipt) => listeners.forEach((one) => one.ended(receipt)),
  };
}
