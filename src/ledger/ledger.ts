import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../env.ts';
import { err } from '../lib/result.ts';
import type {
  AdmitAnswer,
  AdmitCall,
  ChainCut,
  ChainHead,
  FlushAnswer,
  LedgerEvents,
  LedgerNote,
  LedgerPrincipal,
  NamedLimit,
  PruneAnswer,
  RecordAnswer,
  Revocation,
  Standing,
} from './contract.ts';
import { DIRECTORY_NAME } from './directory.ts';
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
import { emptyHead, type LedgerHeadState, LedgerLog, type OpenEntry, type Pushed } from './log.ts';
import { type LedgerKey, ledgerNameOf } from './name.ts';
import { findCut, removeRows } from './prune.ts';
import { PUSH_BATCH, pushRows } from './push.ts';
import { type Load, mayPushWait } from './push-delay.ts';
import { limitStates, pruneRate } from './rate.ts';
import { forgettableKeys, revokedBy, revokedEntry } from './revoked.ts';

/** What the ledger reads of the environment. */
export interface LedgerEnv extends Pick<Env, 'DB' | 'DIRECTORY'> {
  /** Seconds after which an intent without an outcome is closed as `call.unknown`; 600 when absent. */
  readonly KEYWARDEN_OUTCOME_TIMEOUT_SECONDS?: string;
  /** Rows that may wait for D1 before `admit` answers `full`; 50000 when absent. */
  readonly KEYWARDEN_LEDGER_MAX_WAITING_ROWS?: string;
}

const PUSH_DELAY_MS = 1_000;
/** Turns of the event loop, of about a millisecond each, that a group stays open. */
const MAX_TICKS = 8;
const PUSH_BACKOFF_MAX_MS = 30_000;
/** How long a decision is kept for a repeated send, after its row is in D1. */
const DECISION_KEPT_MS = 60_000;
const LATE_OUTCOME_KEPT_MS = 86_400_000;
const MARK_EVERY_MS = 10_000;
const MAX_CONFLICTS = 100;

interface Job {
  readonly apply: (draft: GroupDraft, basis: GroupBasis) => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * One agent's ledger: decides and records in one transaction.
 *
 * Calls that arrive while a group becomes durable form the next one: one transaction takes all their decisions, rows and
 * chained hashes. No answer leaves before they are durable: the object's output gate holds every message until what was written
 * before it is on disk, and breaks the object when that fails (docs/decisions/0009).
 */
export class Ledger extends DurableObject<LedgerEnv> {
  readonly #log: LedgerLog;
  readonly #outcomeTimeoutMs: number;
  readonly #maxWaitingRows: number;
  /** Null until the first use; then registered in the directory. */
  #head: LedgerHeadState | null;
  #introduced: Promise<void> | null = null;
  #revoked: Map<string, number>;
  readonly #open: Map<string, OpenEntry>;
  #pushed: Pushed;
  #cut: ChainCut | null;
  #queue: Job[] = [];
  /** Calls in the last group. */
  #groupSize = 0;
  /** Calls that the senders of those in the queue are working on: more cannot be waiting to come in. 0: nobody said. */
  #expected = 0;
  #committing = false;
  /** Ids that came as a repeated send: a first send that was overtaken by it must not be charged again. */
  readonly #repeated = new Set<string>();
  #alarmAt: number | null = null;
  #pushing: Promise<void> | null = null;
  #failures = 0;
  #markedAt = 0;
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
    this.#pushed = this.#log.readPushed();
    this.#cut = this.#log.readCut();
  }

  /** Decides a call and makes its row durable. Rejects when it could do neither; then nothing was charged. */
  async admit(call: AdmitCall): Promise<AdmitAnswer> {
    if (this.#head === null) await this.#introduce(call.principal.agent);
    else this.#mustBelongTo(call.principal.agent);
    if (call.attempt > 0) this.#repeated.add(call.requestId);
    this.#expected = Math.max(this.#expected, call.inFlight);
    const mayRepeat = call.attempt > 0 || this.#repeated.has(call.requestId) || this.#open.has(call.requestId);
    return this.#commit((draft, basis) => admitInto(draft, basis, call, mayRepeat));
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
    return this.#commit<RecordAnswer>((draft, basis) => {
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
    const rate = this.#head?.rate ?? { clock: 0, tats: new Map() };
    return { revokedBy: revokedBy(this.#revoked, principal), limits: limitStates(rate, limits, Date.now()) };
  }

  /** Pushes the waiting rows to D1 now. Never rejects for D1's sake: see `waitingRows`. */
  async flush(): Promise<FlushAnswer> {
    await this.#push();
    return {
      head: await this.head(),
      waitingRows: this.#waitingRows,
      conflicts: this.#pushed.conflicts.slice(0, MAX_CONFLICTS),
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
    await this.#push();
    const ledger = this.#name();
    const through = Math.min(this.#pushed.through, ...this.#pushed.conflicts.map((seq) => seq - 1));
    const found = await findCut(this.env.DB, ledger, this.#cut, through, before).catch((error) => err(reasonOf(error)));
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
    await this.#commit((draft, basis) => recordNote(draft, basis, prunedNote(cut, rows), false));
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
    await this.#push();
    this.#forget();
    this.#scheduleNext();
  }

  #load(): Load {
    const now = Date.now();
    return {
      waitingRows: this.#waitingRows,
      maxWaitingRows: this.#maxWaitingRows,
      failures: this.#failures,
      sinceCommitMs: now - this.#committedAt,
      waitingMs: now - this.#waitingSince,
    };
  }

  #name(): string {
    const name = this.#head?.ledger ?? this.ctx.id.name;
    if (name === undefined) throw new Error('a ledger has a name');
    return name;
  }

  /** The directory knows of the ledger before its first row exists; a failure is the caller's, and tried again next time. */
  async #introduce(agent: string | null): Promise<void> {
    const ledger = this.#name();
    const key = keyOf(ledger, agent);
    this.#introduced ??= this.#directory()
      .register({ ledger, kind: key.kind, agent: key.kind === 'agent' ? key.agent : null })
      .then(() => {
        this.#head ??= emptyHead(ledger);
        this.#markedAt = Date.now();
      })
      .finally(() => {
        this.#introduced = null;
      });
    await this.#introduced;
  }

  #belongsTo: string | null = null;
  #mustBelongTo(agent: string): void {
    if (this.#belongsTo === agent) return;
    keyOf(this.#name(), agent);
    this.#belongsTo = agent;
  }

  #commit<T>(apply: (draft: GroupDraft, basis: GroupBasis) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ apply, resolve, reject });
      if (this.#committing) return;
      if (this.#expected === 1 && this.#groupSize <= 1) {
        this.#commitGroup();
        return;
      }
      this.#committing = true;
      queueMicrotask(() => void this.#commitGroups());
    });
  }

  /** While one group becomes durable the next gathers: the busier it is, the larger the groups. */
  async #commitGroups(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        await this.#gather();
        const crowded = this.#queue.length > 1 || this.#expected !== 1;
        this.#commitGroup();
        if (crowded) await this.ctx.storage.sync();
      }
    } catch (error) {
      // What was written is not on disk: the object is broken, and nobody in it gets an answer.
      for (const job of this.#queue.splice(0)) job.reject(error);
    }
    this.#committing = false;
  }

  /**
   * A call that is alone is not kept waiting. Otherwise the group stays open as long as calls keep coming, and the longer the
   * more came last time: each commit stops the whole isolate until the disk has answered, so few large groups are faster
   * than many small. Once all that the senders are working on are here, nothing is waited for.
   */
  async #gather(): Promise<void> {
    // Of what was refused nobody knows how much more comes.
    if (this.#expected === 0 && this.#groupSize <= 1 && this.#queue.length <= 1) return;
    const least = this.#groupSize >= 8 ? 3 : this.#groupSize >= 4 ? 2 : 1;
    for (let tick = 0, seen = 0; tick < least || (tick < MAX_TICKS && this.#queue.length > seen); tick++) {
      if (this.#expected > 0 && this.#queue.length >= this.#expected) return;
      seen = this.#queue.length;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** The output gate holds the answers until what is written here is on disk. */
  #commitGroup(): void {
    const jobs = this.#queue;
    this.#groupSize = jobs.length;
    this.#queue = [];
    this.#expected = 0;
    try {
      const basis = this.#basis();
      const draft = startGroup(basis);
      const answers = jobs.map((job) => job.apply(draft, basis));
      if (draft.entries.length > 0) {
        if (this.#waitingRows === 0) this.#waitingSince = basis.now;
        this.#committedAt = basis.now;
        this.#write(draft);
        this.#adopt(draft);
        this.#scheduleBy(basis.now + this.#pushDelay());
      }
      jobs.forEach((job, index) => job.resolve(answers[index] as never));
    } catch (error) {
      for (const job of jobs) job.reject(error);
    }
  }

  #basis(): GroupBasis {
    return {
      head: this.#head ?? emptyHead(this.#name()),
      revoked: this.#revoked,
      open: this.#open,
      waitingRows: this.#waitingRows,
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

  /** Rows that D1 does not hold yet. */
  get #waitingRows(): number {
    return (this.#head?.seq ?? 0) - this.#pushed.through + this.#pushed.conflicts.length;
  }

  async #closeOverdue(): Promise<void> {
    const overdue = Date.now() - this.#outcomeTimeoutMs;
    const requestIds = [...this.#open]
      .filter(([, entry]) => !entry.unknown && entry.at <= overdue)
      .map(([requestId]) => requestId);
    if (requestIds.length === 0) return;
    await this.#commit((draft, basis) => {
      for (const requestId of requestIds) recordUnknown(draft, basis, requestId);
    });
  }

  /** One push at a time; who comes while one runs gets another one after it, which sees all rows committed before it came. */
  async #push(): Promise<void> {
    while (this.#pushing !== null) await this.#pushing;
    this.#pushing = this.#pushAll().finally(() => {
      this.#pushing = null;
    });
    await this.#pushing;
  }

  async #pushAll(): Promise<void> {
    try {
      await this.#pushConflicts();
      // Rows that came meanwhile are left to the next push, so that a reader under load gets its answer.
      const lastSeq = this.#head?.seq ?? 0;
      while (this.#pushed.through < lastSeq && this.#pushed.conflicts.length < MAX_CONFLICTS) {
        const groups = this.#log.after(this.#pushed.through, PUSH_BATCH);
        const end = groups.at(-1);
        if (end === undefined) throw new Error('the log lacks rows that D1 does not hold');
        const conflicts = await pushRows(this.env.DB, this.#name(), groups);
        this.#havePushed({ through: end.last, conflicts: [...this.#pushed.conflicts, ...conflicts] });
      }
      const { conflicts } = this.#pushed;
      this.#failures = conflicts.length > 0 ? this.#failures + 1 : 0;
      if (conflicts.length > 0)
        this.#complain('ledger.rows_conflict', `first at row ${conflicts[0]}, ${conflicts.length} in all`);
    } catch (error) {
      this.#failures += 1;
      this.#complain('ledger.push_failed', reasonOf(error));
    }
  }

  /** Rows in whose place somebody planted others: they may have been removed meanwhile. */
  async #pushConflicts(): Promise<void> {
    const { through, conflicts } = this.#pushed;
    if (conflicts.length === 0) return;
    const rows = conflicts.map((seq) => this.#log.row(seq)).filter((row) => row !== null);
    this.#havePushed({ through, conflicts: await pushRows(this.env.DB, this.#name(), rows) });
  }

  #havePushed(pushed: Pushed): void {
    this.#log.writePushed(pushed);
    this.#pushed = pushed;
  }

  #complain(event: string, why: string): void {
    console.error(
      JSON.stringify({
        event,
        ledger: this.#head?.ledger,
        waitingRows: this.#waitingRows,
        failures: this.#failures,
        why,
      }),
    );
  }

  #forget(): void {
    const now = Date.now();
    this.ctx.storage.transactionSync(() => {
      for (const [requestId, { unknown, at }] of this.#open)
        if (unknown && at < now - LATE_OUTCOME_KEPT_MS) this.#open.delete(requestId);
      this.#log.forget(now - DECISION_KEPT_MS, this.#pushed, this.#open);
      const keys = forgettableKeys(this.#revoked, now);
      this.#log.deleteRevoked(keys);
      for (const key of keys) this.#revoked.delete(key);
      if (this.#head !== null) this.#head = { ...this.#head, rate: pruneRate(this.#head.rate) };
    });
    if (this.#repeated.size > 10_000) this.#repeated.clear();
  }

  #scheduleNext(): void {
    const now = Date.now();
    if (this.#waitingRows > 0) {
      this.#scheduleBy(now + this.#pushDelay());
      return;
    }
    let oldestOpen: OpenEntry | null = null;
    for (const entry of this.#open.values())
      if (!entry.unknown && (oldestOpen === null || entry.at < oldestOpen.at)) oldestOpen = entry;
    if (oldestOpen !== null) this.#scheduleBy(Math.max(now + PUSH_DELAY_MS, oldestOpen.at + this.#outcomeTimeoutMs));
    if (this.#log.keepsDecisions()) this.#scheduleBy(now + DECISION_KEPT_MS);
    else if (this.#open.size > 0) this.#scheduleBy(now + LATE_OUTCOME_KEPT_MS);
  }

  #pushDelay(): number {
    return Math.min(PUSH_BACKOFF_MAX_MS, PUSH_DELAY_MS * 2 ** Math.min(this.#failures, 10));
  }

  #scheduleBy(time: number): void {
    if (this.#alarmAt !== null && this.#alarmAt <= time) return;
    this.#alarmAt = time;
    void this.ctx.storage.setAlarm(time);
    if (this.#waitingRows > 0) this.#markActive();
  }

  /** Tells the directory that a reader should flush this ledger. A reader who misses it sees the rows a little later. */
  #markActive(): void {
    const now = Date.now();
    if (now - this.#markedAt < MARK_EVERY_MS) return;
    this.#markedAt = now;
    this.ctx.waitUntil(
      this.#directory()
        .markActive(this.#name())
        .catch(() => undefined),
    );
  }

  #directory() {
    return this.env.DIRECTORY.get(this.env.DIRECTORY.idFromName(DIRECTORY_NAME));
  }
}

/** Whose ledger bears this name; throws when it is not the agent's, for no call may be charged to another's ledger. */
function keyOf(ledger: string, agent: string | null): LedgerKey {
  const candidates: LedgerKey[] = [{ kind: 'anonymous' }, { kind: 'operators' }];
  if (agent !== null) candidates.unshift({ kind: 'agent', agent });
  const key = candidates.find((candidate) => ledgerNameOf(candidate) === ledger);
  if (key === undefined) throw new Error("this ledger is not the agent's");
  return key;
}

const prunedNote = (cut: ChainCut, rows: number): LedgerNote => ({
  event: 'audit.pruned',
  requestId: crypto.randomUUID(),
  agent: null,
  session: null,
  tokenId: null,
  capability: null,
  service: null,
  operator: null,
  reason: 'retention',
  detail: { through: cut.seq, rows, hash: cut.hash },
});

/** D1's own words; drizzle's message around them would quote the statement. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message.slice(0, 200) : 'unknown';
}

function headOf({ ledger, seq, hash }: LedgerHeadState): ChainHead {
  return { ledger, seq, hash };
}

function positive(text: string | undefined, otherwise: number): number {
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) && value > 0 ? value : otherwise;
}
