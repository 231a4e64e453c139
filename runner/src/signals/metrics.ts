import { Counter, Gauge, Registry } from 'prom-client';
import type { SessionReceipt } from '../../../src/protocol.ts';
import type { Counters } from '../sandbox/backend.ts';
import { wireCounters } from '../session/counters.ts';
import type { Lease } from '../session/lease.ts';
import type { SessionListener } from '../session/session-listener.ts';

/**
 * A session as Prometheus metrics. Labels are classes and names of system calls, from bounded lists: never a path, a session or
 * an argument. Certain denials and observed attempts are two metrics and are never added up.
 */
export interface SessionMetrics extends SessionListener {
  /** The text format (version 0.0.4). */
  text(): Promise<string>;
}

export function sessionMetrics(): SessionMetrics {
  const registry = new Registry();
  const counter = <T extends string>(name: string, help: string, labelNames: T[]): Counter<T> =>
    new Counter({ name, help, labelNames, registers: [registry] });
  const denied = counter(
    'credential_path_denied_total',
    'Opens of credential paths that were denied: the call never ran.',
    ['source', 'path_class', 'syscall'],
  );
  const observed = counter(
    'credential_path_attempt_observed_total',
    'Looks at credential paths that were seen; a hint, which may be missed or forged.',
    ['source', 'path_class', 'syscall'],
  );
  const blocked = counter('blocked_syscalls_total', 'System calls refused by number.', ['syscall']);
  const dropped = counter('credential_path_dropped_total', 'Events that could not be judged or told; denied.', []);
  const coverage = new Gauge({
    name: 'credential_path_coverage',
    help: '1 for each source that counts; none is 0: then no denial says nothing.',
    labelNames: ['source'],
    registers: [registry],
  });
  const duration = new Gauge({
    name: 'session_duration_seconds',
    help: 'How long the session took, from lease to end.',
    labelNames: ['backend', 'reason'],
    registers: [registry],
  });
  const alive = new Gauge({ name: 'session_running', help: '1 while the session runs.', registers: [registry] });
  const proven = new Gauge({
    name: 'session_absence_proven',
    help: '1 when nothing of the session was left on the host.',
    registers: [registry],
  });

  // Counters come as totals so far; metrics want what was added since.
  const told = new Map<string, number>();
  const since = (key: string, total: number): number => {
    const before = told.get(key) ?? 0;
    told.set(key, Math.max(before, total));
    return Math.max(0, total - before);
  };
  const count = (counters: ReturnType<typeof wireCounters>): void => {
    const source = counters.sources[0] ?? 'none';
    coverage.reset();
    if (counters.sources.length === 0) coverage.set({ source }, 0);
    for (const live of counters.sources) coverage.set({ source: live }, 1);
    for (const [kind, metric, rows] of [
      ['denied', denied, counters.denied],
      ['observed', observed, counters.observed],
    ] as const) {
      for (const { path_class, syscall, count: total } of rows)
        metric.inc({ source, path_class, syscall }, since(`${kind} ${path_class} ${syscall}`, total));
    }
    for (const { syscall, count: total } of counters.blocked)
      blocked.inc({ syscall }, since(`blocked ${syscall}`, total));
    dropped.inc(since('dropped', counters.dropped));
  };
  return {
    started: (_: Lease) => alive.set(1),
    counted: (_: string, counters: Counters) => count(wireCounters(counters)),
    ended(receipt: SessionReceipt) {
      if (receipt.counters !== null) count(receipt.counters);
      alive.set(0);
      proven.set(receipt.absence.proven ? 1 : 0);
      const { backend, reason } = receipt;
      if (receipt.at.duration_ms !== null) duration.set({ backend, reason }, receipt.at.duration_ms / 1000);
    },
    text: () => registry.metrics(),
  };
}
