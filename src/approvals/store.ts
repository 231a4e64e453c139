import type { ListQuery, Shown, StoredApproval } from './contract.ts';
import type { Approval } from './state.ts';

/** A note on its way to an agent's ledger. */
export interface WaitingNote {
  readonly id: number;
  readonly agent: string;
  readonly note: string;
  /** 1: it may have reached the ledger already. */
  readonly sent: number;
}

export interface Delivery {
  readonly approval: string;
  readonly nonce: string;
  readonly attempt: number;
  readonly at: number;
}

type ApprovalRow = { approval: string; shown: string };

/** The desk's SQLite. Synchronous; what belongs together is written in one transaction by the caller. */
export class ApprovalStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS approvals (
      id TEXT PRIMARY KEY, agent TEXT NOT NULL, session TEXT, binding TEXT NOT NULL, alike_key TEXT, state TEXT NOT NULL,
      created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, approval TEXT NOT NULL, shown TEXT NOT NULL)`);
    sql.exec('CREATE INDEX IF NOT EXISTS approvals_by_binding ON approvals (binding, created_at)');
    sql.exec(
      'CREATE INDEX IF NOT EXISTS approvals_by_kind ON approvals (alike_key, state) WHERE alike_key IS NOT NULL',
    );
    sql.exec('CREATE INDEX IF NOT EXISTS approvals_by_time ON approvals (created_at, id)');
    sql.exec('CREATE INDEX IF NOT EXISTS approvals_by_state ON approvals (state, created_at, id)');
    sql.exec('CREATE INDEX IF NOT EXISTS approvals_by_agent ON approvals (agent, created_at, id)');
    sql.exec(`CREATE INDEX IF NOT EXISTS approvals_open ON approvals (expires_at)
      WHERE state IN ('pending', 'approved')`);
    sql.exec(`CREATE TABLE IF NOT EXISTS notes (
      id INTEGER PRIMARY KEY AUTOINCREMENT, agent TEXT NOT NULL, note TEXT NOT NULL, sent INTEGER NOT NULL)`);
    sql.exec(`CREATE TABLE IF NOT EXISTS deliveries (
      approval TEXT PRIMARY KEY, nonce TEXT NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL)`);
    sql.exec('CREATE TABLE IF NOT EXISTS burnt_links (nonce TEXT PRIMARY KEY, at INTEGER NOT NULL)');
  }

  insert(approval: Approval, shown: Shown): void {
    this.#sql.exec(
      'INSERT INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      approval.id,
      approval.agent,
      approval.session,
      approval.binding,
      approval.alikeKey,
      approval.state,
      approval.createdAt,
      approval.expiresAt,
      JSON.stringify(approval),
      JSON.stringify(shown),
    );
  }

  update(approval: Approval): void {
    this.#sql.exec(
      'UPDATE approvals SET state = ?, expires_at = ?, approval = ? WHERE id = ?',
      approval.state,
      approval.expiresAt,
      JSON.stringify(approval),
      approval.id,
    );
  }

  get(id: string): StoredApproval | null {
    const row = this.#sql.exec<ApprovalRow>('SELECT approval, shown FROM approvals WHERE id = ?', id).toArray()[0];
    return row === undefined ? null : storedOf(row);
  }

  /** The newest of one binding. */
  ofBinding(binding: string): Approval[] {
    return this.#approvals('binding = ? ORDER BY created_at DESC LIMIT 20', binding);
  }

  approvedOfKind(alikeKey: string | null): Approval[] {
    if (alikeKey === null) return [];
    return this.#approvals("alike_key = ? AND state = 'approved' ORDER BY created_at DESC LIMIT 20", alikeKey);
  }

  pendingOfKind(alikeKey: string): Approval[] {
    return this.#approvals("alike_key = ? AND state = 'pending' LIMIT 100", alikeKey);
  }

  pendingCount(agent: string | null): number {
    return agent === null
      ? this.#count("SELECT count(*) AS n FROM approvals WHERE state = 'pending'")
      : // Among the pending ones, of which there are few: the sign keeps SQLite from reading all that the agent ever asked.
        this.#count("SELECT count(*) AS n FROM approvals WHERE +agent = ? AND state = 'pending'", agent);
  }

  askedSince(agent: string, since: number): number {
    return this.#count('SELECT count(*) AS n FROM approvals WHERE agent = ? AND created_at > ?', agent, since);
  }

  /** Pending or approved, and overdue. */
  overdue(now: number): StoredApproval[] {
    return this.#sql
      .exec<ApprovalRow>(
        `SELECT approval, shown FROM approvals WHERE state IN ('pending', 'approved') AND expires_at <= ? LIMIT 500`,
        now,
      )
      .toArray()
      .map(storedOf);
  }

  list({ state, agent, session, limit, before }: ListQuery): StoredApproval[] {
    const wanted: string[] = [];
    const values: (string | number)[] = [];
    const want = (text: string, ...bound: (string | number)[]): void => {
      wanted.push(text);
      values.push(...bound);
    };
    if (state !== null) want('state = ?', state);
    if (agent !== null) want('agent = ?', agent);
    if (session !== null) want('session = ?', session);
    if (before !== null) want('(created_at, id) < (?, ?)', before.at, before.id);
    return this.#sql
      .exec<ApprovalRow>(
        `SELECT approval, shown FROM approvals ${wanted.length === 0 ? '' : `WHERE ${wanted.join(' AND ')}`}
         ORDER BY created_at DESC, id DESC LIMIT ?`,
        ...values,
        limit,
      )
      .toArray()
      .map(storedOf);
  }

  /** Removes what was decided long ago; the audit keeps what matters of it. */
  prune(createdBefore: number): void {
    this.#sql.exec(
      "DELETE FROM approvals WHERE created_at < ? AND state NOT IN ('pending', 'approved')",
      createdBefore,
    );
    this.#sql.exec('DELETE FROM burnt_links WHERE at < ?', createdBefore);
  }

  addNote(agent: string, note: string): void {
    this.#sql.exec('INSERT INTO notes (agent, note, sent) VALUES (?, ?, 0)', agent, note);
  }

  notes(): WaitingNote[] {
    return this.#sql
      .exec<{ id: number; agent: string; note: string; sent: number }>(
        'SELECT id, agent, note, sent FROM notes ORDER BY id LIMIT 2000',
      )
      .toArray();
  }

  markSent(agent: string, upTo: number): void {
    this.#sql.exec('UPDATE notes SET sent = 1 WHERE agent = ? AND id <= ?', agent, upTo);
  }

  removeNotes(agent: string, upTo: number): void {
    this.#sql.exec('DELETE FROM notes WHERE agent = ? AND id <= ?', agent, upTo);
  }

  putDelivery({ approval, nonce, attempt, at }: Delivery): void {
    this.#sql.exec('INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?)', approval, nonce, attempt, at);
  }

  removeDelivery(approval: string): void {
    this.#sql.exec('DELETE FROM deliveries WHERE approval = ?', approval);
  }

  dueDeliveries(now: number): Delivery[] {
    return this.#sql
      .exec<{ approval: string; nonce: string; attempt: number; at: number }>(
        'SELECT approval, nonce, attempt, at FROM deliveries WHERE at <= ? ORDER BY at LIMIT 20',
        now,
      )
      .toArray();
  }

  /** Repeating it changes nothing; whether it was burnt before is for {@link isLinkBurnt} to say. */
  burnLink(nonce: string, now: number): void {
    this.#sql.exec('INSERT OR IGNORE INTO burnt_links VALUES (?, ?)', nonce, now);
  }

  isLinkBurnt(nonce: string): boolean {
    return this.#count('SELECT count(*) AS n FROM burnt_links WHERE nonce = ?', nonce) > 0;
  }

  /**
   * Unix ms of the next thing to do by itself, or null.
   *
   * @param delivers Whether there is a webhook: without it, what was to be delivered by an earlier one is never done.
   */
  nextAt(delivers: boolean): number | null {
    return this.#sql
      .exec<{ at: number | null }>(
        `SELECT min(at) AS at FROM (
           SELECT min(expires_at) AS at FROM approvals WHERE state IN ('pending', 'approved')
           UNION ALL SELECT min(at) AS at FROM deliveries WHERE ?)`,
        delivers ? 1 : 0,
      )
      .one().at;
  }

  #approvals(where: string, ...values: (string | number)[]): Approval[] {
    return this.#sql
      .exec<{ approval: string }>(`SELECT approval FROM approvals WHERE ${where}`, ...values)
      .toArray()
      .map(({ approval }) => JSON.parse(approval) as Approval);
  }

  #count(query: string, ...values: (string | number)[]): number {
    return this.#sql.exec<{ n: number }>(query, ...values).one().n;
  }
}

const storedOf = ({ approval, shown }: ApprovalRow): StoredApproval => ({
  approval: JSON.parse(approval) as Approval,
  shown: JSON.parse(shown) as Shown,
});
