import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../env.ts';
import { positive } from '../lib/positive.ts';
import { err } from '../lib/result.ts';
import { type Apply, CommitQueue } from './commit-queue.ts';
import type {
  AdmitAnswer,
  AdmitCall,
  ChainCut,
  ChainHead,
  FlushAnswer,
  LedgerEvents,
  LedgerPrincipal,
  LedgerRpc,
  NamedLimit,
  PruneAnswer,
  RecordAnswer,
  Revocation,
  Standing,
} from './contract.ts';
import {
  admitInto,
  type GroupBasis,
  type GroupDraft,
  isFull,
  recordNote,
  recordOutcome,
  recordRefused,
  recordUnknown,
  startGroup,
} from './group.ts';
import { emptyHead, type LedgerHeadState, LedgerLog } from './log.ts';
import { type OpenEntry, oldestIn, overdueIn } from './open-intents.ts';
import { findCut, prunedNote, removeRows } from './prune.ts';
import { type Load, mayPushWait, PUSH_DELAY_MS } from './push-delay.ts';
import { Pusher } from './pusher.ts';
import { emptyRateState, limitStates, pruneRate } from './rate.ts';
import { reasonOf } from './reason.ts';
import { Registration } from './registration.ts';
import { forgettableKeys, revokedBy, revokedEntry } from './revoked.ts';

/** What the ledger reads of the environment. */
export type LedgerEnv = Pick<
  Env,
  'DB' | 'DIRECTORY' | 'KEYWARDEN_OUTCOME_TIMEOUT_SECONDS' | 'KEYWARDEN_LEDGER_MAX_WAITING_ROWS'
>;

/** How long a decision is kept for a repeated send, after its row is in D1. */
const DECISION_KEPT_MS = 60_000;
const LATE_OUTCOME_KEPT_MS = 86_400_000;

/**
 * One agent's ledger: decides and records in one transaction.
 *
 * Calls that arrive while a group becomes durable form the next one: one transaction takes all their decisions, rows and
 * chained hashes. No answer leaves before they are durable: the object's output gate holds every message until what was written
 * before it is on disk, and breaks the object when that fails (docs/decisions/0009).
 */
export class Ledger extends DurableObject<LedgerEnv> implements LedgerRpc {
  readonly #log: LedgerLog;
  readonly #commits: CommitQueue;
  readonly #pusher: Pusher;
  readonly #registration: Registration;
  readonly #outcomeTimeoutMs: number;
  readonly #maxWaitingRows: number;
  /** Null until the first use; then registered in the directory. */
  #head: LedgerHeadState | null;
  #revoked: Map<string, number>;
  readonly #open: Map<string, OpenEntry>;
  #cut: ChainCut | null;
  /** Ids that came as a repeated send: a first send that was overtaken by it must not be charged again. */
  readonly #repeated = new Set<string>();
  #alarmAt: number | null = null;
  /** Unix ms of the last commit, and of the oldest row that waits for D1, as far as this instance knows. */
  #committedAt = 0;
  #waitingSince = 0;

  constructor(ctx: DurableObjectState, env: LedgerEnv) {
    super(ctx, env);
    this.#outcomeTimeoutMs = positive(env.KEYWARDEN_OUTCOME_TIMEOUT_SECONDS, 600) * 1000;
    this.#maxWaitingRows = positive(env.KEYWARDEN_LEDGER_MAX_WAITING_ROWS, 50_000);
    this.#log = new LedgerLog(ctx.storage.sql);
    this.#head = this.#log.readHead();
    this.#revoked = new Map(this.#log.readRevoked());
    this.#open = this.#log.openEntries();
    this.#cut = this.#log.readCut();
    this.#commits = new CommitQueue(
      (group) => this.#commitGroup(group),
      () => ctx.storage.sync(),
    );
    this.#pusher = new Pusher({
      log: this.#log,
      db: env.DB,
      name: () => this.#name(),
      lastSeq: () => this.#head?.seq ?? 0,
      complain: (event, why) => this.#complain(event, why),
    });
    this.#registration = new Registration(env.DIRECTORY);
  }

  /** Decides a call and makes its row durable. Rejects when it could do neither; then nothing was charged. */
  async admit(call: AdmitCall): Promise<AdmitAnswer> {
    if (this.#head === null) await this.#introduce(call.principal.agent);
    else this.#registration.mustBelongTo(this.#name(), call.principal.agent);
    if (call.attempt > 0) this.#repeated.add(call.requestId);
    this.#commits.expect(call.inFlight);
    const mayRepeat = call.attempt > 0 || this.#repeated.has(call.requestId) || this.#open.has(call.requestId);
    return this.#commits.add((draft, basis) => admitInto(draft, basis, call, mayRepeat));
  }

  /** {@link admit}, with call and answer as JSON: one text crosses at a third of the cost of the objects in it. */
  async admitText(call: string): Promise<string> {
    return JSON.stringify(await this.admit(JSON.parse(call) as AdmitCall));
  }

  /** Records what needs no admission. Outcomes are taken even when the ledger is full: their intents had room. */
  async record(events: LedgerEvents): Promise<RecordAnswer> {
    if (this.#head === null) {
      if (events.refused.length + events.notes.length === 0) return { effect: 'recorded', head: await this.head() };
      await this.#introduce(
        [...events.refused.map((one) => one.call.agent), ...events.notes.map((one) => one.agent)][0] ?? null,
      );
    }
    const repeated = events.attempt > 0;
    return this.#commits.add<RecordAnswer>((draft, basis) => {
      for (const outcome of events.outcomes) recordOutcome(draft, basis, outcome);
      if (events.refused.length + events.notes.length > 0 && isFull(draft, basis)) {
        return { effect: 'full', waitingRows: basis.waitingRows + draft.entries.length };
      }
      for (const refused of events.refused) recordRefused(draft, basis, refused, repeated);
      for (const note of events.notes) recordNote(draft, basis, note, repeated);
      return { effect: 'recorded', head: headOf(draft.head) };
    });
  }

  /** From the next commit on; durable when it returns. */
  async revoke(revocation: Revocation): Promise<void> {
    const [key, value] = revokedEntry(this.#revoked, revocation);
    this.#log.writeRevoked(key, value);
    this.#revoked.set(key, value);
    await this.ctx.storage.sync();
  }

  /** Where a principal stands: by what it is revoked, and what its limits have left. Charges nothing. */
  async peek(principal: LedgerPrincipal, limits: readonly NamedLimit[]): Promise<Standing> {
    const rate = this.#head?.rate ?? emptyRateState;
    return { revokedBy: revokedBy(this.#revoked, principal), limits: limitStates(rate, limits, Date.now()) };
  }

  /** Pushes the waiting rows to D1 now. Never rejects for D1's sake: see `waitingRows`. */
  async flush(): Promise<FlushAnswer> {
    await this.#pusher.push();
    return {
      head: await this.head(),
      waitingRows: this.#pusher.waitingRows,
      conflicts: this.#pusher.conflicts,
    };
  }

  async head(): Promise<ChainHead> {
    const head = headOf(this.#head ?? emptyHead(this.#name()));
    return this.#cut === null ? head : { ...head, cut: this.#cut };
  }

  /**
   * Removes rows older than `before` (Unix ms) from D1, after it has verified them. The cut is durable before a row is
   * gone, so that an interrupted removal looks like no tampering, and is itself a row of the chain.
   */
  async prune(before: number): Promise<PruneAnswer> {
    await this.#pusher.push();
    const ledger = this.#name();
    const through = Math.min(this.#pusher.pushed.through, ...this.#pusher.pushed.conflicts.map((seq) => seq - 1));
    const { seq, hash } = this.#head ?? emptyHead(ledger);
    const found = await findCut(this.env.DB, ledger, this.#cut, through, before, { seq, hash }).catch((error) =>
      err(reasonOf(error)),
    );
    if (!found.ok) {
      this.#complain('ledger.prune_refused', found.error);
      return { rows: 0, more: false, refused: found.error };
    }
    const cut = found.value;
    if (cut === null) {
      // Of an earlier cut, whose removal was interrupted.
      if (this.#cut !== null) await removeRows(this.env.DB, ledger, this.#cut);
      return { rows: 0, more: false, refused: null };
    }
    const rows = cut.seq - (this.#cut?.seq ?? 0);
    this.#log.writeCut(cut);
    await this.ctx.storage.sync();
    this.#cut = cut;
    await this.#commits.add((draft, basis) => recordNote(draft, basis, prunedNote(cut, rows), false));
    await removeRows(this.env.DB, ledger, cut);
    return { rows, more: cut.seq < through, refused: null };
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    await this.#closeOverdue();
    if (mayPushWait(this.#load())) {
      this.#scheduleBy(Date.now() + PUSH_DELAY_MS);
      return;
    }
    await this.#pusher.push();
    this.#forget();
    this.#scheduleNext();
  }

  #load(): Load {
    const now = Date.now();
    return {
      waitingRows: this.#pusher.waitingRows,
      maxWaitingRows: this.#maxWaitingRows,
      failures: this.#pusher.failures,
      sinceCommitMs: now - this.#committedAt,
      waitingMs: now - this.#waitingSince,
    };
  }

  #name(): string {
    const name = this.#head?.ledger ?? this.ctx.id.name;
    if (name === undefined) throw new Error('a ledger has a name');
    return name;
  }

  async #introduce(agent: string | null): Promise<void> {
    const ledger = this.#name();
    await this.#registration.introduce(ledger, agent);
    this.#head ??= emptyHead(ledger);
  }

  #commitGroup(group: readonly Apply[]): readonly unknown[] {
    const basis = this.#basis();
    const draft = startGroup(basis);
    const answers = group.map((apply) => apply(draft, basis));
    if (draft.entries.length > 0) {
      if (this.#pusher.waitingRows === 0) this.#waitingSince = basis.now;
      this.#committedAt = basis.now;
      this.#write(draft);
      this.#adopt(draft);
      this.#scheduleBy(basis.now + this.#pusher.delayMs);
    }
    return answers;
  }

  #basis(): GroupBasis {
    return {
      head: this.#head ?? emptyHead(this.#name()),
      revoked: this.#revoked,
      open: this.#open,
      waitingRows: this.#pusher.waitingRows,
      maxWaitingRows: this.#maxWaitingRows,
      now: Date.now(),
      decided: (requestId) => this.#log.decided(requestId),
      has: (requestId, event) => this.#log.has(requestId, event),
    };
  }

  /** One statement mostly; a transaction is only opened when it takes more, for it costs as much as the statement. */
  #write({ entries, head }: GroupDraft): void {
    if (LedgerLog.isLarge(entries)) this.ctx.storage.transactionSync(() => this.#log.append(entries, head));
    else this.#log.append(entries, head);
  }

  #adopt(draft: GroupDraft): void {
    this.#head = draft.head;
    for (const [requestId, entry] of draft.open) {
      if (entry === null) this.#open.delete(requestId);
      else this.#open.set(requestId, entry);
    }
  }

  async #closeOverdue(): Promise<void> {
    const requestIds = overdueIn(this.#open, Date.now() - this.#outcomeTimeoutMs);
    if (requestIds.length === 0) return;
    await this.#commits.add((draft, basis) => {
      for (const requestId of requestIds) recordUnknown(draft, basis, requestId);
    });
  }

  #complain(event: string, why: string): void {
    console.error(
      JSON.stringify({
        event,
        ledger: this.#head?.ledger,
        waitingRows: this.#pusher.waitingRows,
        failures: this.#pusher.failures,
        why,
      }),
    );
  }

  #forget(): void {
    const now = Date.now();
    this.ctx.storage.transactionSync(() => {
      for (const [requestId, { unknown, at }] of this.#open)
        if (unknown && at < now - LATE_OUTCOME_KEPT_MS) this.#open.delete(requestId);
      this.#log.forget(now - DECISION_KEPT_MS, this.#pusher.pushed, this.#open);
      const keys = forgettableKeys(this.#revoked, now);
      this.#log.deleteRevoked(keys);
      for (const key of keys) this.#revoked.delete(key);
      if (this.#head !== null) this.#head = { ...this.#head, rate: pruneRate(this.#head.rate) };
    });
    if (this.#repeated.size > 10_000) this.#repeated.clear();
  }

  #scheduleNext(): void {
    const now = Date.now();
    if (this.#pusher.waitingRows > 0) {
      this.#scheduleBy(now + this.#pusher.delayMs);
      return;
    }
    const oldest = oldestIn(this.#open);
    if (oldest !== null) this.#scheduleBy(Math.max(now + PUSH_DELAY_MS, oldest + this.#outcomeTimeoutMs));
    if (this.#log.keepsDecisions()) this.#scheduleBy(now + DECISION_KEPT_MS);
    else if (this.#open.size > 0) this.#scheduleBy(now + LATE_OUTCOME_KEPT_MS);
  }

  #scheduleBy(time: number): void {
    if (this.#alarmAt !== null && this.#alarmAt <= time) return;
    this.#alarmAt = time;
    void this.ctx.storage.setAlarm(time);
    if (this.#pusher.waitingRows > 0) this.ctx.waitUntil(this.#registration.markActive(this.#name()));
  }
}

function headOf({ ledger, seq, hash }: LedgerHeadState): ChainHead {
  return { ledger, seq, hash };
}
