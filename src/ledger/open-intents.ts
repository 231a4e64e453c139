import type { AuditRow } from '../audit/event.ts';
import type { OpenIntent } from './rows.ts';

export interface OpenEntry {
  readonly seq: number;
  readonly at: number;
  readonly intent: OpenIntent;
  /** Closed as `call.unknown`; a late outcome is still taken, once. */
  readonly unknown: boolean;
}

/** Opens and closes what the rows open and close. */
export function follow(open: Map<string, OpenEntry>, rows: readonly AuditRow[]): void {
  for (const { requestId, seq, at, event, agent, session, tokenId, capability, service, method, path } of rows) {
    if (event === 'call.admitted') {
      const intent = { agent, session, tokenId, capability, service, method: method ?? '', path: path ?? '' };
      open.set(requestId, { seq, at, intent, unknown: false });
    } else if (event === 'call.completed' || event === 'call.failed') open.delete(requestId);
    else if (event === 'call.unknown') {
      const entry = open.get(requestId);
      if (entry !== undefined) open.set(requestId, { ...entry, unknown: true });
    }
  }
}

/** Requests that were admitted up to `at` (Unix ms) and whose end nobody has told. */
export const overdueIn = (open: ReadonlyMap<string, OpenEntry>, at: number): string[] =>
  [...open].filter(([, entry]) => !entry.unknown && entry.at <= at).map(([requestId]) => requestId);

/** When the oldest was admitted of which nobody has told the end; null when there is none. */
export function oldestIn(open: ReadonlyMap<string, OpenEntry>): number | null {
  let oldest: number | null = null;
  for (const { unknown, at } of open.values()) if (!unknown && (oldest === null || at < oldest)) oldest = at;
  return oldest;
}
