import type { CallOutcome } from '../audit/event.ts';
import type { Denial } from '../denial.ts';
import { approvalRevoked, approvalUsedRow, limitedDenial, limitsWith } from './approval.ts';
import type { AdmitAnswer, AdmitCall, LedgerNote, LimitState, RefusedCall } from './contract.ts';
import type { LedgerHeadState, LogEntry } from './log.ts';
import type { OpenEntry } from './open-intents.ts';
import { decideRate, limitStates } from './rate.ts';
import { type RevokedState, revokedBy } from './revoked.ts';
import { admittedRow, deniedRow, noteRow, openIntentOf, outcomeRow, type RowContent, unknownRow } from './rows.ts';
import { linkRow } from './wire.ts';

/** What a group of calls that are committed together adds to the ledger. Deciding changes only this draft, so that a failed
 * transaction leaves the ledger in memory as it is on disk. */
export interface GroupDraft {
  head: LedgerHeadState;
  readonly entries: LogEntry[];
  /** Opened in this group, or changed by it; null: closed for good. */
  readonly open: Map<string, OpenEntry | null>;
  /** Answers given in this group, for a repeated send that came together with the first. */
  readonly answered: Map<string, AdmitAnswer>;
}

/** The ledger as it is before the group; read only. */
export interface GroupBasis {
  readonly head: LedgerHeadState;
  readonly revoked: RevokedState;
  readonly open: ReadonlyMap<string, OpenEntry>;
  readonly waitingRows: number;
  readonly maxWaitingRows: number;
  /** Unix ms. */
  readonly now: number;
  /** What was decided about a request before, if it is still known. */
  readonly decided: (requestId: string) => { readonly denial: string | null; readonly event: string } | null;
  readonly has: (requestId: string, event: string) => boolean;
}

export function startGroup(basis: GroupBasis): GroupDraft {
  return { head: basis.head, entries: [], open: new Map(), answered: new Map() };
}

/** Decides one call: repeated? revoked? denied before? room? rate? And drafts its row. */
export function admitInto(draft: GroupDraft, basis: GroupBasis, call: AdmitCall, mayRepeat: boolean): AdmitAnswer {
  for (const outcome of call.outcomes) recordOutcome(draft, basis, outcome);
  const known = draft.answered.get(call.requestId) ?? (mayRepeat ? earlierAnswer(draft, basis, call) : null);
  if (known !== null && known !== undefined) return known;
  const answer = decide(draft, basis, call);
  draft.answered.set(call.requestId, answer);
  return answer;
}

function decide(draft: GroupDraft, basis: GroupBasis, call: AdmitCall): AdmitAnswer {
  const by = revokedBy(basis.revoked, call.principal);
  const earlier: Denial | null =
    by !== null ? { kind: 'token_revoked', by } : (call.denial ?? approvalRevoked(basis.revoked, call));
  if (isFull(draft, basis)) return { effect: 'full', waitingRows: basis.waitingRows + draft.entries.length };
  if (earlier !== null) return deny(draft, basis, call, earlier, []);
  const { approval = null } = call;
  const rate = decideRate(draft.head.rate, limitsWith(call.limits, approval), basis.now);
  draft.head = { ...draft.head, rate: rate.state };
  if (rate.effect === 'limited') {
    const { limit, retryAfterSeconds } = rate;
    return deny(draft, basis, call, limitedDenial(limit, retryAfterSeconds, approval), rate.limits);
  }
  if (approval !== null) append(draft, basis, approvalUsedRow(approval, call), null);
  const entry = append(draft, basis, admittedRow(call.requestId, call.call), null);
  draft.open.set(call.requestId, { seq: entry.seq, at: entry.at, intent: openIntentOf(call.call), unknown: false });
  return { effect: 'admitted', limits: rate.limits };
}

function deny(
  draft: GroupDraft,
  basis: GroupBasis,
  call: AdmitCall,
  denial: Denial,
  limits: readonly LimitState[],
): AdmitAnswer {
  append(draft, basis, deniedRow(call.requestId, call.call, denial), JSON.stringify(denial));
  return { effect: 'denied', denial, limits };
}

/** A repeated send is answered from what was decided, and charged nothing. Limits are told as they stand now. */
function earlierAnswer(draft: GroupDraft, basis: GroupBasis, call: AdmitCall): AdmitAnswer | null {
  const earlier = basis.decided(call.requestId);
  if (earlier === null) return null;
  const limits = limitStates(draft.head.rate, call.limits, basis.now);
  if (earlier.denial !== null) return { effect: 'denied', denial: JSON.parse(earlier.denial), limits };
  return earlier.event === 'call.admitted' ? { effect: 'admitted', limits } : null;
}

/** Closes the intent; a repeated outcome, or one of a call that was never admitted here, changes nothing. */
export function recordOutcome(draft: GroupDraft, basis: GroupBasis, outcome: CallOutcome): void {
  const entry = openEntry(draft, basis, outcome.requestId);
  if (entry === null) return;
  append(draft, basis, outcomeRow(entry.intent, outcome), null, outcome.at);
  draft.open.set(outcome.requestId, null);
}

export function recordUnknown(draft: GroupDraft, basis: GroupBasis, requestId: string): void {
  const entry = openEntry(draft, basis, requestId);
  if (entry === null || entry.unknown) return;
  append(draft, basis, unknownRow(requestId, entry.intent), null);
  draft.open.set(requestId, { ...entry, unknown: true });
}

export function recordRefused(draft: GroupDraft, basis: GroupBasis, refused: RefusedCall, repeated: boolean): void {
  if (repeated && stands(draft, basis, refused.requestId, 'call.denied')) return;
  append(draft, basis, deniedRow(refused.requestId, refused.call, refused.denial), JSON.stringify(refused.denial));
}

export function recordNote(draft: GroupDraft, basis: GroupBasis, note: LedgerNote, repeated: boolean): void {
  if (repeated && stands(draft, basis, note.requestId, note.event)) return;
  append(draft, basis, noteRow(note), null);
}

/** Whether there is such a row already: in the log, or in this group, in which both sends may have met. */
function stands(draft: GroupDraft, basis: GroupBasis, requestId: string, event: string): boolean {
  const same = (entry: LogEntry): boolean => entry.requestId === requestId && entry.event === event;
  return draft.entries.some(same) || basis.has(requestId, event);
}

/** Whether the ledger takes no further rows but the outcomes of what it admitted. */
export function isFull(draft: GroupDraft, basis: GroupBasis): boolean {
  return basis.waitingRows + draft.entries.length >= basis.maxWaitingRows;
}

function openEntry(draft: GroupDraft, basis: GroupBasis, requestId: string): OpenEntry | null {
  const drafted = draft.open.get(requestId);
  return drafted !== undefined ? drafted : (basis.open.get(requestId) ?? null);
}

/** @param happenedAt  When it happened, if that was earlier than now; kept within the ledger's own time line. */
function append(
  draft: GroupDraft,
  basis: GroupBasis,
  content: RowContent,
  denial: string | null,
  happenedAt: number = basis.now,
): LogEntry {
  const { ledger, rate, hash: prevHash } = draft.head;
  const seq = draft.head.seq + 1;
  const at = Math.max(rate.clock, Math.min(Math.floor(happenedAt) || 0, basis.now));
  const { hash, wire } = linkRow(ledger, seq, at, content, prevHash);
  const entry: LogEntry = { seq, at, event: content.event, requestId: content.requestId, wire, denial };
  draft.head = { ledger, seq, hash, rate: { clock: at, tats: rate.tats } };
  draft.entries.push(entry);
  return entry;
}
