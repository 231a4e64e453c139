import type { SessionCounters } from '../../../src/protocol.ts';
import type { Counters } from '../sandbox/backend.ts';

export const NO_COUNTERS: Counters = { denied: [], observed: [], blocked: [], dropped: 0, sources: [] };

const MOST_ROWS = 500;
const name = (text: string): string =>
  /^[a-z][a-z0-9_-]{0,31}$/.test(text)
    ? text
    : `x${text
        .toLowerCase()
        .replaceAll(/[^a-z0-9_-]/g, '_')
        .slice(0, 31)}`;

/** As the edge and receipts have it. Names are bounded here once more: whatever a helper says, no path passes. */
export function wireCounters(counters: Counters): SessionCounters {
  const rows = (list: Counters['denied']): SessionCounters['denied'] =>
    list.slice(0, MOST_ROWS).map((row) => ({
      path_class: name(row.pathClass),
      syscall: name(row.syscall),
      count: row.count,
    }));
  return {
    denied: rows(counters.denied),
    observed: rows(counters.observed),
    blocked: counters.blocked.slice(0, MOST_ROWS).map((row) => ({ syscall: name(row.syscall), count: row.count })),
    dropped: counters.dropped,
    sources: counters.sources.slice(0, 16).map(name),
  };
}

export const sumOf = (rows: readonly { readonly count: number }[]): number =>
  rows.reduce((all, row) => all + row.count, 0);
