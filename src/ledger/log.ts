import { CANONICAL_VERSION, canonicalRow, GENESIS_HASH, linkHash, type UnlinkedRow } from '../audit/chain.ts';
import type { AuditRow } from '../audit/event.ts';
import type { RateState } from './rate.ts';
import type { RevokedState } from './revoked.ts';
import type { OpenIntent } from './rows.ts';

/** How far a call's row is. */
export const ROW_PLAIN = 0;
export const ROW_OPEN = 1;
export const ROW_CLOSED = 2;
/** Closed as `call.unknown`; a late outcome is still taken, once. */
export const ROW_UNKNOWN = 3;

/** A row as it waits: `wire` is the JSON array of the canonical row, followed by prevHash and hash. */
export interface WaitingRow {
  readonly seq: number;
  readonly wire: string;
}

/** The small state that changes with every group, kept in one row. */
export interface LedgerHeadState {
  readonly ledger: string;
  readonly seq: number;
  readonly hash: string;
  readonly rate: RateState;
}

export interface OpenEntry {
  readonly seq: number;
  readonly at: number;
  readonly intent: OpenIntent;
  readonly unknown: boolean;
}

/** A row to append, linked already. */
export interface LogEntry {
  readonly seq: number;
  readonly at: number;
  readonly requestId: string;
  readonly state: typeof ROW_PLAIN | typeof ROW_OPEN;
  readonly wire: string;
  /** The denial as JSON, for a repeated send; null for an admitted call and for what is no call. */
  readonly denial: string | null;
}

const INSERT = 'INSERT INTO log (seq, request_id, state, sent, at, wire, denial) VALUES (?, ?, ?, 0, ?, ?, ?)';

/** The ledger's SQLite: one append-only log that rows leave once D1 has them, and the state around it. Synchronous. */
export class LedgerLog {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS head (id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL)`);
    sql.exec(`CREATE TABLE IF NOT EXISTS log (
      seq INTEGER PRIMARY KEY, request_id TEXT NOT NULL, state INTEGER NOT NULL, sent INTEGER NOT NULL,
      at INTEGER NOT NULL, wire TEXT NOT NULL, denial TEXT)`);
    sql.exec(`CREATE INDEX IF NOT EXISTS log_by_request ON log (request_id)`);
    sql.exec(`CREATE INDEX IF NOT EXISTS log_unknown ON log (at) WHERE state = ${ROW_UNKNOWN}`);
    sql.exec(`CREATE INDEX IF NOT EXISTS log_waiting ON log (seq) WHERE sent = 0`);
    sql.exec(`CREATE TABLE IF NOT EXISTS revoked (key TEXT PRIMARY KEY, until INTEGER NOT NULL)`);
  }

  readHead(): LedgerHeadState | null {
    const row = this.#sql.exec<{ state: string }>('SELECT state FROM head').toArray()[0];
    if (row === undefined) return null;
    const { ledger, seq, hash, clock, tats } = JSON.parse(row.state);
    return { ledger, seq, hash, rate: { clock, tats: new Map(tats) } };
  }

  writeHead({ ledger, seq, hash, rate }: LedgerHeadState): void {
    const state = JSON.stringify({ ledger, seq, hash, clock: rate.clock, tats: [...rate.tats] });
    this.#sql.exec('INSERT OR REPLACE INTO head (id, state) VALUES (1, ?)', state);
  }

  append(entry: LogEntry): void {
    this.#sql.exec(INSERT, entry.seq, entry.requestId, entry.state, entry.at, entry.wire, entry.denial);
  }

  close(seq: number, state: typeof ROW_CLOSED | typeof ROW_UNKNOWN): void {
    this.#sql.exec('UPDATE log SET state = ? WHERE seq = ?', state, seq);
  }

  /** What was decided about a request before, or null if it never came (or long ago). */
  decided(requestId: string): { readonly denial: string | null; readonly at: number; readonly event: string } | null {
    const row = this.#sql
      .exec<{ wire: string; denial: string | null; at: number }>(
        'SELECT wire, denial, at FROM log WHERE request_id = ? ORDER BY seq LIMIT 1',
        requestId,
      )
      .toArray()[0];
    return row === undefined ? null : { denial: row.denial, at: row.at, event: rowOfWire(row.wire).event };
  }

  has(requestId: string, event: string): boolean {
    return this.#sql
      .exec<{ wire: string }>('SELECT wire FROM log WHERE request_id = ?', requestId)
      .toArray()
      .some((row) => rowOfWire(row.wire).event === event);
  }

  openEntries(): Map<string, OpenEntry> {
    const entries = new Map<string, OpenEntry>();
    const cursor = this.#sql.exec<{ seq: number; at: number; state: number; wire: string }>(
      `SELECT seq, at, state, wire FROM log WHERE state IN (${ROW_OPEN}, ${ROW_UNKNOWN})`,
    );
    for (const { seq, at, state, wire } of cursor) {
      const { requestId, agent, session, tokenId, capability, service, method, path } = rowOfWire(wire);
      const intent = { agent, session, tokenId, capability, service, method: method ?? '', path: path ?? '' };
      entries.set(requestId, { seq, at, intent, unknown: state === ROW_UNKNOWN });
    }
    return entries;
  }

  waiting(afterSeq: number, limit: number): WaitingRow[] {
    return this.#sql
      .exec<{ seq: number; wire: string }>(
        'SELECT seq, wire FROM log WHERE sent = 0 AND seq > ? ORDER BY seq LIMIT ?',
        afterSeq,
        limit,
      )
      .toArray();
  }

  countWaiting(): number {
    return this.#sql.exec<{ n: number }>('SELECT count(*) AS n FROM log WHERE sent = 0').one().n;
  }

  /** Marks rows that D1 holds. What is still needed here (open intents, fresh decisions) stays until it is forgotten. */
  markSent(seqs: readonly number[]): void {
    this.#sql.exec('UPDATE log SET sent = 1 WHERE seq IN (SELECT value FROM json_each(?))', JSON.stringify(seqs));
  }

  /** Removes what D1 holds and no repeated send or late outcome can ask for any more. Returns the forgotten intents. */
  forget(decidedBefore: number, unknownBefore: number): string[] {
    const stale = this.#sql
      .exec<{ request_id: string }>(
        `SELECT request_id FROM log WHERE sent = 1 AND state = ${ROW_UNKNOWN} AND at < ?`,
        unknownBefore,
      )
      .toArray()
      .map((row) => row.request_id);
    // `at` never falls as `seq` rises: only the old end of the log is read, however many rows are kept for a while.
    this.#sql.exec(
      `DELETE FROM log WHERE seq < coalesce((SELECT seq FROM log WHERE at >= ? ORDER BY seq LIMIT 1), ${Number.MAX_SAFE_INTEGER})
       AND sent = 1 AND (state IN (${ROW_PLAIN}, ${ROW_CLOSED}) OR (state = ${ROW_UNKNOWN} AND at < ?))`,
      decidedBefore,
      unknownBefore,
    );
    return stale;
  }

  /** Whether decisions are kept that D1 holds already, so that a later `forget` has work. */
  keepsDecisions(): boolean {
    return (
      this.#sql.exec(`SELECT 1 FROM log WHERE sent = 1 AND state IN (${ROW_PLAIN}, ${ROW_CLOSED}) LIMIT 1`).toArray()
        .length > 0
    );
  }

  readRevoked(): RevokedState {
    const rows = this.#sql.exec<{ key: string; until: number }>('SELECT key, until FROM revoked').toArray();
    return new Map(rows.map((row) => [row.key, row.until]));
  }

  writeRevoked(key: string, until: number): void {
    this.#sql.exec('INSERT OR REPLACE INTO revoked (key, until) VALUES (?, ?)', key, until);
  }

  deleteRevoked(keys: readonly string[]): void {
    for (const key of keys) this.#sql.exec('DELETE FROM revoked WHERE key = ?', key);
  }
}

/** Links a row to the one before and gives its hash and its wire form. */
export function linkRow(row: UnlinkedRow, prevHash: string): { readonly hash: string; readonly wire: string } {
  const canonical = canonicalRow(row);
  const hash = linkHash(prevHash, canonical);
  return { hash, wire: `${canonical.slice(0, -1)},"${prevHash}","${hash}"]` };
}

export function rowOfWire(wire: string): AuditRow {
  const [
    version,
    ledger,
    seq,
    at,
    event,
    requestId,
    agent,
    session,
    tokenId,
    capability,
    service,
    method,
    path,
    queryNames,
    decision,
    reason,
    status,
    requestBytes,
    responseBytes,
    durationMs,
    redactions,
    requestHash,
    policyHash,
    operator,
    detail,
    prevHash,
    hash,
  ] = JSON.parse(wire);
  if (version !== CANONICAL_VERSION) throw new Error('a row of an unknown version');
  return {
    ledger,
    seq,
    at,
    event,
    requestId,
    agent,
    session,
    tokenId,
    capability,
    service,
    method,
    path,
    queryNames,
    decision,
    reason,
    status,
    requestBytes,
    responseBytes,
    durationMs,
    redactions,
    requestHash,
    policyHash,
    operator,
    detail,
    prevHash,
    hash,
  };
}

export const emptyHead = (ledger: string): LedgerHeadState => ({
  ledger,
  seq: 0,
  hash: GENESIS_HASH,
  rate: { clock: 0, tats: new Map() },
});
