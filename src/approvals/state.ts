import { err, ok, type Result } from '../lib/result.ts';

/**
 * The life of an approval, pure: no clock, no store, no randomness.
 *
 *   pending ─┬─▶ approved ─┬─▶ used
 *            ├─▶ denied    └─▶ expired
 *            └─▶ expired
 *
 * Nothing leaves `denied`, `expired` or `used`. How often an approval was really used is counted by the agent's ledger, in
 * the commit of the intent (docs/decisions/0007); what stands here of it is for people.
 */
export const STATES = ['pending', 'approved', 'denied', 'expired', 'used'] as const;
export type ApprovalState = (typeof STATES)[number];
export type Scope = 'once' | 'alike';
export type Via = 'console' | 'cli' | 'api' | 'webhook';

export interface Vote {
  readonly operator: string;
  readonly via: Via;
  readonly scope: Scope;
  readonly at: number;
}

/** What a call asks for. All times are Unix ms. */
export interface Question {
  readonly agent: string;
  readonly session: string | null;
  /** The token that asked: a yes dies with it. */
  readonly tokenId: string;
  readonly tokenIssuedAtMs: number;
  readonly tokenExpiresAtMs: number;
  readonly capability: string;
  /** Hash of the canonical request, of whose it is, and of the policy. */
  readonly binding: string;
  /** Hash of what calls of the same kind share; null when the policy permits no such yes. */
  readonly alikeKey: string | null;
  readonly alikeCount: number;
  readonly alikeForMs: number;
  /** Distinct people who must agree. */
  readonly count: number;
  readonly ttlMs: number;
  /** Who may decide, of those with the role; null: all of them. */
  readonly reviewers: string | null;
  /** Whether who minted the token is kept from deciding. */
  readonly separate: boolean;
}

export interface Approval extends Question {
  readonly id: string;
  readonly state: ApprovalState;
  readonly createdAt: number;
  /** When a pending or approved one expires; until when a denied one stays a no. */
  readonly expiresAt: number;
  /** How often it was asked for. */
  readonly asks: number;
  readonly votes: readonly Vote[];
  readonly decidedAt: number | null;
  readonly decidedBy: string | null;
  readonly decidedVia: Via | null;
  /** What the yes allows. */
  readonly scope: Scope | null;
  /** The reviewer's words, or why it expired. */
  readonly reason: string | null;
  /** Calls that the yes allows; 0 before it. */
  readonly uses: number;
  readonly usedBy: readonly string[];
}

export interface Bounds {
  readonly maxPending: number;
  readonly maxHourly: number;
  readonly maxDesk: number;
}

/** What the desk knows when a question comes. `same` are approvals of this binding, `kin` of this alikeKey, newest first. */
export interface Standing {
  readonly same: readonly Approval[];
  readonly kin: readonly Approval[];
  readonly pendingOfAgent: number;
  readonly askedByAgentInLastHour: number;
  readonly pendingOfAll: number;
}

export type Answer =
  | { readonly kind: 'granted'; readonly approval: Approval }
  | { readonly kind: 'denied'; readonly approval: Approval }
  | { readonly kind: 'joined'; readonly approval: Approval }
  | { readonly kind: 'new' }
  | { readonly kind: 'flood'; readonly bound: 'pending' | 'hourly' | 'desk'; readonly most: number };

/** State at a time: what is overdue has expired, whether or not the alarm has come by. A no stays a no in the records. */
export function stateAt(approval: Approval, now: number): ApprovalState {
  const mayExpire = approval.state === 'pending' || approval.state === 'approved';
  return mayExpire && approval.expiresAt <= now ? 'expired' : approval.state;
}

/** Answers a question from what was decided before: a no stands above a yes, a yes above a question that is still open. */
export function answerTo(standing: Standing, bounds: Bounds, now: number): Answer {
  const stickyNo = standing.same.find((one) => one.state === 'denied' && one.expiresAt > now);
  if (stickyNo !== undefined) return { kind: 'denied', approval: stickyNo };
  const yes =
    standing.same.find((one) => stateAt(one, now) === 'approved') ??
    standing.kin.find((one) => stateAt(one, now) === 'approved' && one.scope === 'alike');
  if (yes !== undefined) return { kind: 'granted', approval: yes };
  const open = standing.same.find((one) => stateAt(one, now) === 'pending');
  if (open !== undefined) return { kind: 'joined', approval: open };
  if (standing.pendingOfAgent >= bounds.maxPending) return { kind: 'flood', bound: 'pending', most: bounds.maxPending };
  if (standing.askedByAgentInLastHour >= bounds.maxHourly)
    return { kind: 'flood', bound: 'hourly', most: bounds.maxHourly };
  if (standing.pendingOfAll >= bounds.maxDesk) return { kind: 'flood', bound: 'desk', most: bounds.maxDesk };
  return { kind: 'new' };
}

/** A question just asked. It never outlives the token that asks. */
export function opened(id: string, question: Question, now: number): Approval {
  return {
    ...question,
    id,
    state: 'pending',
    createdAt: now,
    expiresAt: Math.min(now + question.ttlMs, question.tokenExpiresAtMs),
    asks: 1,
    votes: [],
    decidedAt: null,
    decidedBy: null,
    decidedVia: null,
    scope: null,
    reason: null,
    uses: 0,
    usedBy: [],
  };
}

/** Who decides, as far as the rules ask. */
export interface Decider {
  readonly operator: string;
  /** Names by which `reviewers` may mean this operator: id, roles, groups. */
  readonly names: readonly string[];
  readonly admin: boolean;
  /** Whether this operator minted the token that asked. */
  readonly minted: boolean;
}

/** Ids of one person may differ by their case: Cloudflare Access tells addresses in lower case, a key's id is as written. */
export const isSame = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

export interface Decision {
  readonly verdict: 'approve' | 'deny';
  readonly scope: Scope;
  readonly via: Via;
  readonly reason: string | null;
}

export type DecisionRefusal =
  | { readonly kind: 'requester' }
  | { readonly kind: 'not_a_reviewer'; readonly reviewers: string }
  | { readonly kind: 'alike_not_permitted' }
  | { readonly kind: 'decided'; readonly state: ApprovalState; readonly by: string | null };

/**
 * One operator's yes or no. The same decision by the same operator again changes nothing and is no error.
 *
 * One no decides. With two people asked for, the narrower of their scopes is what the yes allows.
 */
export function decided(
  approval: Approval,
  decider: Decider,
  decision: Decision,
  now: number,
): Result<Approval, DecisionRefusal> {
  const { operator } = decider;
  if (isSame(operator, approval.agent) || (approval.separate && decider.minted)) return err({ kind: 'requester' });
  const { reviewers } = approval;
  if (reviewers !== null && !decider.admin && !isSame(operator, reviewers) && !decider.names.includes(reviewers))
    return err({ kind: 'not_a_reviewer', reviewers });
  const state = stateAt(approval, now);
  const before = approval.votes.find((vote) => isSame(vote.operator, operator));
  if (state !== 'pending') {
    const repeated =
      decision.verdict === 'approve'
        ? (state === 'approved' || state === 'used') && before !== undefined && before.scope === decision.scope
        : state === 'denied' && approval.decidedBy !== null && isSame(approval.decidedBy, operator);
    return repeated ? ok(approval) : err({ kind: 'decided', state, by: approval.decidedBy });
  }
  const end = { decidedAt: now, decidedBy: operator, decidedVia: decision.via };
  if (decision.verdict === 'deny') {
    return ok({ ...approval, ...end, state: 'denied', reason: decision.reason, expiresAt: now + approval.ttlMs });
  }
  if (decision.scope === 'alike' && approval.alikeKey === null) return err({ kind: 'alike_not_permitted' });
  if (before !== undefined) return ok(approval);
  const votes = [...approval.votes, { operator, via: decision.via, scope: decision.scope, at: now }];
  if (votes.length < approval.count) return ok({ ...approval, votes });
  const scope: Scope = votes.every((vote) => vote.scope === 'alike') ? 'alike' : 'once';
  const goodFor = scope === 'alike' ? approval.alikeForMs : approval.ttlMs;
  return ok({
    ...approval,
    ...end,
    votes,
    state: 'approved',
    scope,
    reason: decision.reason,
    uses: scope === 'alike' ? approval.alikeCount : 1,
    expiresAt: Math.min(now + goodFor, approval.tokenExpiresAtMs),
  });
}

/** Notes one use; the same request twice is one. */
export function usedOnce(approval: Approval, requestId: string): Approval {
  if (approval.state !== 'approved' || approval.usedBy.includes(requestId)) return approval;
  const usedBy = [...approval.usedBy, requestId];
  return { ...approval, usedBy, state: usedBy.length >= approval.uses ? 'used' : 'approved' };
}

/** The ledger says that nothing of the yes is left. */
export const exhausted = (approval: Approval): Approval =>
  approval.state === 'approved' ? { ...approval, state: 'used' } : approval;

/** Ends what is open or unused: its time is over, its token was revoked, or another yes covered the call. */
export const ended = (approval: Approval, reason: 'time' | 'revoked' | 'superseded'): Approval =>
  approval.state === 'pending' || approval.state === 'approved' ? { ...approval, state: 'expired', reason } : approval;
