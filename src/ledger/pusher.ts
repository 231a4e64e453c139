import type { LedgerLog, Pushed } from './log.ts';
import { PUSH_BATCH, pushRows } from './push.ts';
import { PUSH_DELAY_MS } from './push-delay.ts';
import { reasonOf } from './reason.ts';

const PUSH_BACKOFF_MAX_MS = 30_000;
const MAX_CONFLICTS = 100;

/** The ledger whose rows are pushed. */
export interface PushSource {
  readonly log: LedgerLog;
  readonly db: D1Database;
  readonly name: () => string;
  /** Number of its last row; 0 when there is none. */
  readonly lastSeq: () => number;
  readonly complain: (event: string, why: string) => void;
}

/** Hands a ledger's rows over to D1, and knows which of them D1 holds. */
export class Pusher {
  readonly #source: PushSource;
  #pushed: Pushed;
  #pushing: Promise<void> | null = null;
  #failures = 0;

  constructor(source: PushSource) {
    this.#source = source;
    this.#pushed = source.log.readPushed();
  }

  get pushed(): Pushed {
    return this.#pushed;
  }

  /** Pushes in a row that failed, or left conflicts. */
  get failures(): number {
    return this.#failures;
  }

  /** Rows that D1 does not hold yet. */
  get waitingRows(): number {
    return this.#source.lastSeq() - this.#pushed.through + this.#pushed.conflicts.length;
  }

  /** How long to leave D1 alone. */
  get delayMs(): number {
    return Math.min(PUSH_BACKOFF_MAX_MS, PUSH_DELAY_MS * 2 ** Math.min(this.#failures, 10));
  }

  get conflicts(): readonly number[] {
    return this.#pushed.conflicts.slice(0, MAX_CONFLICTS);
  }

  /**
   * One push at a time; who comes while one runs gets another one after it, which sees all rows committed before it came.
   * Never rejects for D1's sake.
   */
  async push(): Promise<void> {
    while (this.#pushing !== null) await this.#pushing;
    this.#pushing = this.#pushAll().finally(() => {
      this.#pushing = null;
    });
    await this.#pushing;
  }

  async #pushAll(): Promise<void> {
    const { log, db, name, lastSeq, complain } = this.#source;
    try {
      await this.#pushConflicts();
      // Rows that came meanwhile are left to the next push, so that a reader under load gets its answer.
      const last = lastSeq();
      while (this.#pushed.through < last && this.#pushed.conflicts.length < MAX_CONFLICTS) {
        const groups = log.after(this.#pushed.through, PUSH_BATCH);
        const end = groups.at(-1);
        if (end === undefined) throw new Error('the log lacks rows that D1 does not hold');
        const conflicts = await pushRows(db, name(), groups);
        this.#havePushed({ through: end.last, conflicts: [...this.#pushed.conflicts, ...conflicts] });
      }
      const { conflicts } = this.#pushed;
      this.#failures = conflicts.length > 0 ? this.#failures + 1 : 0;
      if (conflicts.length > 0)
        complain('ledger.rows_conflict', `first at row ${conflicts[0]}, ${conflicts.length} in all`);
    } catch (error) {
      this.#failures += 1;
      complain('ledger.push_failed', reasonOf(error));
    }
  }

  /** Rows in whose place somebody planted others: they may have been removed meanwhile. */
  async #pushConflicts(): Promise<void> {
    const { log, db, name } = this.#source;
    const { through, conflicts } = this.#pushed;
    if (conflicts.length === 0) return;
    const rows = conflicts.map((seq) => log.row(seq)).filter((row) => row !== null);
    this.#havePushed({ through, conflicts: await pushRows(db, name(), rows) });
  }

  #havePushed(pushed: Pushed): void {
    this.#source.log.writePushed(pushed);
    this.#pushed = pushed;
  }
}
