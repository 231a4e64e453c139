import type { OpenEntry } from './open-intents.ts';

/** Intents that are still open when their rows leave the log: one long answer does not hold it up. Synchronous. */
export class Stragglers {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS stragglers (
      request_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, at INTEGER NOT NULL, unknown INTEGER NOT NULL,
      intent TEXT NOT NULL)`);
  }

  read(): Map<string, OpenEntry> {
    const rows = this.#sql.exec<{ request_id: string; seq: number; at: number; unknown: number; intent: string }>(
      'SELECT request_id, seq, at, unknown, intent FROM stragglers',
    );
    return new Map(
      [...rows].map(({ request_id, seq, at, unknown, intent }) => [
        request_id,
        { seq, at, intent: JSON.parse(intent), unknown: unknown === 1 },
      ]),
    );
  }

  /** Keeps these and no others. Writes what differs: this comes every second, and what is open long is the same each time. */
  keep(stragglers: readonly (readonly [string, OpenEntry])[]): void {
    const kept = new Map(
      this.#sql
        .exec<{ request_id: string; unknown: number }>('SELECT request_id, unknown FROM stragglers')
        .toArray()
        .map(({ request_id, unknown }) => [request_id, unknown === 1]),
    );
    for (const [requestId, { seq, at, unknown, intent }] of stragglers) {
      const same = kept.get(requestId) === unknown;
      kept.delete(requestId);
      if (same) continue;
      this.#sql.exec(
        'INSERT OR REPLACE INTO stragglers (request_id, seq, at, unknown, intent) VALUES (?, ?, ?, ?, ?)',
        requestId,
        seq,
        at,
        unknown ? 1 : 0,
        JSON.stringify(intent),
      );
    }
    for (const requestId of kept.keys()) this.#sql.exec('DELETE FROM stragglers WHERE request_id = ?', requestId);
  }
}
