import { DurableObject } from 'cloudflare:workers';
import type { DirectoryEntry, DirectoryQuery, DirectoryRpc } from './contract.ts';
import type { LedgerKind } from './name.ts';

/**
 * Knows every ledger ever used, apart from D1, so that a ledger all of whose rows were dropped from D1 is missed.
 * An entry is made before the ledger's first row, and never removed.
 */
export class LedgerDirectory extends DurableObject<unknown> implements DirectoryRpc {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS ledgers (
      ledger TEXT PRIMARY KEY, kind TEXT NOT NULL, agent TEXT, created_at INTEGER NOT NULL, active_at INTEGER NOT NULL)`);
    this.#sql.exec('CREATE INDEX IF NOT EXISTS ledgers_by_activity ON ledgers (active_at)');
  }

  async register(entry: {
    readonly ledger: string;
    readonly kind: LedgerKind;
    readonly agent: string | null;
  }): Promise<void> {
    const now = Date.now();
    this.#sql.exec(
      'INSERT OR IGNORE INTO ledgers VALUES (?, ?, ?, ?, ?)',
      entry.ledger,
      entry.kind,
      entry.agent,
      now,
      now,
    );
    await this.ctx.storage.sync();
  }

  /** Notes that rows are waiting there. Best effort. */
  async markActive(ledger: string): Promise<void> {
    this.#sql.exec('UPDATE ledgers SET active_at = ? WHERE ledger = ?', Date.now(), ledger);
  }

  /** A page of the ledgers, by name. */
  async list(query: DirectoryQuery = {}): Promise<DirectoryEntry[]> {
    return this.#sql
      .exec<{ ledger: string; kind: LedgerKind; agent: string | null; createdAt: number; activeAt: number }>(
        `SELECT ledger, kind, agent, created_at AS createdAt, active_at AS activeAt FROM ledgers
         WHERE ledger > ? AND active_at >= ? ORDER BY ledger LIMIT ?`,
        query.after ?? '',
        query.activeSince ?? 0,
        Math.min(1000, Math.max(1, query.limit ?? 1000)),
      )
      .toArray();
  }
}
