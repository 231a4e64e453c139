import { GENESIS_HASH } from '../audit/chain.ts';
import type { ChainCut } from './contract.ts';
import { follow, type OpenEntry } from './open-intents.ts';
import { emptyRateState, type RateState } from './rate.ts';
import type { RevokedState } from './revoked.ts';
import { Stragglers } from './stragglers.ts';
import { rowsOfWires, wiresOf } from './wire.ts';

/** Rows that stand together in the log: one group, or a part of a very large one. */
export interface LoggedRows {
  readonly first: number;
  readonly last: number;
  /** The rows' wire forms (see `wire.ts`), separated by commas. */
  readonly wires: string;
}

/** The small state that changes with every group, kept beside its rows. */
export interface LedgerHeadState {
  readonly ledger: string;
  readonly seq: number;
  readonly hash: string;
  readonly rate: RateState;
}

/** A row to append, linked already. */
export interface LogEntry {
  readonly seq: number;
  readonly at: number;
  readonly event: string;
  readonly requestId: string;
  readonly wire: string;
  /** The denial as JSON, for a repeated send; null for an admitted call and for what is no call. */
  readonly denial: string | null;
}

/** What D1 holds already: every row up to `through`, but for those in whose place it holds others. */
export interface Pushed {
  readonly through: number;
  readonly conflicts: readonly number[];
}

/** A value in SQLite may have 2 MB at most. */
const MAX_WIRES_CHARS = 500_000;

/**
 * The ledger's SQLite: an append-only log that rows leave once D1 has them. Synchronous.
 *
 * A group of calls is *one* SQLite row with all its chained rows and the ledger's state after it: one statement a commit,
 * however many calls it takes, and no statement at all when an intent ends, since its outcome is a row as well.
 */
export class LedgerLog {
  readonly #sql: SqlStorage;
  readonly #stragglers: Stragglers;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#stragglers = new Stragglers(sql);
    sql.exec(`CREATE TABLE IF NOT EXISTS log (
      first INTEGER PRIMARY KEY, last INTEGER NOT NULL, at INTEGER NOT NULL,
      wires TEXT NOT NULL, denials TEXT, state TEXT NOT NULL)`);
    sql.exec(`CREATE TABLE IF NOT EXISTS pushed (
      id INTEGER PRIMARY KEY CHECK (id = 1), through INTEGER NOT NULL, conflicts TEXT NOT NULL)`);
    sql.exec(`CREATE TABLE IF NOT EXISTS cut (
      id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL)`);
    sql.exec(`CREATE TABLE IF NOT EXISTS revoked (key TEXT PRIMARY KEY, until INTEGER NOT NULL)`);
  }

  readHead(): LedgerHeadState | null {
    const row = this.#sql.exec<{ state: string }>('SELECT state FROM log ORDER BY first DESC LIMIT 1').toArray()[0];
    if (row === undefined) return null;
    const { ledger, seq, hash, clock, tats } = JSON.parse(row.state);
    return { ledger, seq, hash, rate: { clock, tats: new Map(tats) } };
  }

  /** Appends one group; `entries` is not empty. All of it or nothing, if the caller is in a transaction or it fits one row. */
  append(entries: readonly LogEntry[], { ledger, seq, hash, rate }: LedgerHeadState): void {
    const state = JSON.stringify({ ledger, seq, hash, clock: rate.clock, tats: [...rate.tats] });
    for (const part of partsOf(entries)) {
      const first = part[0] as LogEntry;
      const last = part.at(-1) as LogEntry;
      let wires = first.wire;
      for (let index = 1; index < part.length; index += 1) wires += `,${part[index]?.wire}`;
      const denials = part.filter(({ denial }) => denial !== null).map(({ requestId, denial }) => [requestId, denial]);
      this.#sql.exec(
        'INSERT INTO log (first, last, at, wires, denials, state) VALUES (?, ?, ?, ?, ?, ?)',
        first.seq,
        last.seq,
        last.at,
        wires,
        denials.length === 0 ? null : JSON.stringify(Object.fromEntries(denials)),
        state,
      );
    }
  }

  /** Whether {@link append} needs more than one statement for it. */
  static isLarge(entries: readonly LogEntry[]): boolean {
    return entries.length > 1 && entries.reduce((sum, { wire }) => sum + wire.length, 0) > MAX_WIRES_CHARS;
  }

  /** What was decided about a request before, or null if it never came (or long ago). */
  decided(requestId: string): { readonly denial: string | null; readonly event: string } | null {
    for (const { wires, denials } of this.#mentions(requestId)) {
      // Other rows tell of the request as well: that it was asked for, that a yes was used for it.
      const row = rowsOfWires(wires).find(
        (one) => one.requestId === requestId && (one.event === 'call.admitted' || one.event === 'call.denied'),
      );
      if (row === undefined) continue;
      return { denial: denials === null ? null : (JSON.parse(denials)[requestId] ?? null), event: row.event };
    }
    return null;
  }

  has(requestId: string, event: string): boolean {
    return this.#mentions(requestId).some(({ wires }) =>
      rowsOfWires(wires).some((row) => row.requestId === requestId && row.event === event),
    );
  }

  /** A scan of what is kept: only a call that was sent twice asks. */
  #mentions(requestId: string): { wires: string; denials: string | null }[] {
    return this.#sql
      .exec<{ wires: string; denials: string | null }>(
        'SELECT wires, denials FROM log WHERE instr(wires, ?) > 0 ORDER BY first',
        JSON.stringify(requestId),
      )
      .toArray();
  }

  openEntries(): Map<string, OpenEntry> {
    const entries = this.#stragglers.read();
    for (const { wires } of this.#sql.exec<{ wires: string }>('SELECT wires FROM log ORDER BY first'))
      follow(entries, rowsOfWires(wires));
    return entries;
  }

  readPushed(): Pushed {
    const row = this.#sql
      .exec<{ through: number; conflicts: string }>('SELECT through, conflicts FROM pushed')
      .toArray()[0];
    return row === undefined
      ? { through: 0, conflicts: [] }
      : { through: row.through, conflicts: JSON.parse(row.conflicts) };
  }

  writePushed({ through, conflicts }: Pushed): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO pushed (id, through, conflicts) VALUES (1, ?, ?)',
      through,
      JSON.stringify(conflicts),
    );
  }

  /** Whole groups after a row, about `rows` rows and as many bytes as D1 takes at once; at least one group if there is one. */
  after(seq: number, rows: number): LoggedRows[] {
    const taken: LoggedRows[] = [];
    let chars = 0;
    const cursor = this.#sql.exec<{ first: number; last: number; wires: string }>(
      'SELECT first, last, wires FROM log WHERE first > ? ORDER BY first',
      seq,
    );
    for (const group of cursor) {
      chars += group.wires.length;
      if (taken.length > 0 && (group.last - (taken[0] as LoggedRows).first >= rows || chars > 2 * MAX_WIRES_CHARS))
        break;
      taken.push(group);
    }
    return taken;
  }

  /** One row by its number, as a group of its own. */
  row(seq: number): LoggedRows | null {
    const group = this.#sql
      .exec<{ wires: string }>('SELECT wires FROM log WHERE first <= ? AND last >= ?', seq, seq)
      .toArray()[0];
    const wire = group === undefined ? undefined : wiresOf(group.wires).find(([, , itsSeq]) => itsSeq === seq);
    return wire === undefined ? null : { first: seq, last: seq, wires: JSON.stringify(wire) };
  }

  /**
   * Removes what D1 holds and no repeated send can ask for any more. Intents that are still open there are kept apart.
   */
  forget(decidedBefore: number, pushed: Pushed, open: ReadonlyMap<string, OpenEntry>): void {
    // The last group stays: its state is the ledger's head.
    const boundary = Math.min(pushed.through + 1, ...pushed.conflicts);
    this.#sql.exec(
      'DELETE FROM log WHERE at < ? AND last < ? AND first < (SELECT max(first) FROM log)',
      decidedBefore,
      boundary,
    );
    const oldest = this.#sql.exec<{ first: number | null }>('SELECT min(first) AS first FROM log').one().first ?? 0;
    this.#stragglers.keep([...open].filter(([, { seq }]) => seq < oldest));
  }

  /** Whether there is something that a later `forget` will remove. */
  keepsDecisions(): boolean {
    return this.#sql.exec<{ n: number }>('SELECT count(*) AS n FROM (SELECT 1 FROM log LIMIT 2)').one().n > 1;
  }

  readCut(): ChainCut | null {
    return this.#sql.exec<{ seq: number; hash: string }>('SELECT seq, hash FROM cut').toArray()[0] ?? null;
  }

  writeCut({ seq, hash }: ChainCut): void {
    this.#sql.exec('INSERT OR REPLACE INTO cut (id, seq, hash) VALUES (1, ?, ?)', seq, hash);
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

function partsOf(entries: readonly LogEntry[]): readonly (readonly LogEntry[])[] {
  if (!LedgerLog.isLarge(entries)) return [entries];
  const parts: LogEntry[][] = [[]];
  let chars = 0;
  for (const entry of entries) {
    const part = parts.at(-1) as LogEntry[];
    if (part.length > 0 && chars + entry.wire.length > MAX_WIRES_CHARS) {
      parts.push([entry]);
      chars = entry.wire.length;
    } else {
      part.push(entry);
      chars += entry.wire.length;
    }
  }
  return parts;
}

export const emptyHead = (ledger: string): LedgerHeadState => ({
  ledger,
  seq: 0,
  hash: GENESIS_HASH,
  rate: emptyRateState,
});
