import { DurableObject } from 'cloudflare:workers';
import type { Env } from '../env.ts';
import { positive } from '../lib/positive.ts';
import type {
  Ask,
  AskAnswer,
  DecideAnswer,
  DecideRequest,
  DeskRpc,
  GrantedApproval,
  ListQuery,
  StoredApproval,
} from './contract.ts';
import { deliverDue } from './deliveries.ts';
import { approvalJson } from './json.ts';
import { nonceOfLink } from './link.ts';
import { Notes } from './notes.ts';
import { Seats } from './seats.ts';
import {
  type Approval,
  type ApprovalState,
  answerTo,
  type Bounds,
  decided,
  ended,
  exhausted,
  opened,
  stateAt,
  usedOnce,
} from './state.ts';
import { ApprovalStore } from './store.ts';
import { type Waited, Waiting } from './waiting.ts';
import { type WebhookSettings, webhookSettings } from './webhook.ts';

/** What the desk reads of the environment. */
export type DeskEnv = Pick<
  Env,
  | 'LEDGER'
  | 'KEYWARDEN_ISSUER'
  | 'KEYWARDEN_MODE'
  | 'KEYWARDEN_APPROVAL_WEBHOOK_URL'
  | 'KEYWARDEN_WEBHOOK_SECRET'
  | 'KEYWARDEN_APPROVAL_MAX_PENDING'
  | 'KEYWARDEN_APPROVAL_MAX_HOURLY'
>;

const HOUR_MS = 3_600_000;
const MAX_DESK = 5_000;
const KEPT_MS = 30 * 24 * HOUR_MS;
const NOTE_RETRY_MS = 1_000;

/**
 * The approvals desk: one object for all agents, since reviewers look at one list. It knows what was asked and decided.
 * How often a yes was used is counted where the intent is recorded, in the agent's ledger (docs/decisions/0007).
 *
 * A decision, its note for the chain, and a burnt link are one transaction.
 */
export class ApprovalsDesk extends DurableObject<DeskEnv> implements DeskRpc {
  readonly #store: ApprovalStore;
  readonly #bounds: Bounds;
  readonly #webhook: WebhookSettings | null;
  readonly #notes: Notes;
  readonly #waiting = new Waiting();
  readonly #seats: Seats;
  #alarmAt: number | null = null;

  constructor(ctx: DurableObjectState, env: DeskEnv) {
    super(ctx, env);
    this.#store = new ApprovalStore(ctx.storage.sql);
    this.#notes = new Notes(this.#store, env.LEDGER, () => this.#schedule(Date.now() + NOTE_RETRY_MS));
    this.#bounds = {
      maxPending: positive(env.KEYWARDEN_APPROVAL_MAX_PENDING, 20),
      maxHourly: positive(env.KEYWARDEN_APPROVAL_MAX_HOURLY, 200),
      maxDesk: MAX_DESK,
    };
    const webhook = webhookSettings(env, env.KEYWARDEN_MODE === 'dev');
    this.#webhook = webhook.ok ? webhook.value : null;
    if (!webhook.ok) console.error(`keywarden: error: reviewers get no messages: ${webhook.error}`);
    this.#seats = new Seats(ctx);
  }

  /** A call wants to be made: was it decided already, is it asked already, may it be asked? */
  async ask({ question, shown, requestId, after }: Ask): Promise<AskAnswer> {
    const now = Date.now();
    this.#expire(now);
    if (after !== null && this.#store.get(after)?.approval.state === 'used') return { kind: 'used', id: after };
    const answer = answerTo(
      {
        same: this.#store.ofBinding(question.binding),
        kin: this.#store.approvedOfKind(question.alikeKey),
        pendingOfAgent: this.#store.pendingCount(question.agent),
        askedByAgentInLastHour: this.#store.askedSince(question.agent, now - HOUR_MS),
        pendingOfAll: this.#store.pendingCount(null),
      },
      this.#bounds,
      now,
    );
    switch (answer.kind) {
      case 'denied':
        return { kind: 'denied', id: answer.approval.id };
      case 'flood':
        return answer;
      case 'joined':
        this.#store.update({ ...answer.approval, asks: answer.approval.asks + 1 });
        return { kind: 'pending', id: answer.approval.id };
      case 'granted': {
        // What a yes to another call covers is no open question any more: a later yes to it would allow the call twice.
        if (answer.approval.binding !== question.binding)
          for (const one of this.#store.ofBinding(question.binding))
            if (one.state === 'pending') this.#end(one.id, 'superseded');
        // The yes stands in the chain before the call that it allows.
        if ((await this.#notes.drain()).has(question.agent)) throw new Error('the decision could not be recorded');
        return { kind: 'granted', grant: grantOf(answer.approval) };
      }
      case 'new': {
        const approval = opened(crypto.randomUUID(), question, now);
        this.ctx.storage.transactionSync(() => {
          this.#store.insert(approval, shown);
          this.#notes.add(approval, 'approval.requested', requestId, null, {
            method: shown.method,
            // Never a query's values: a row is kept for long, and they may hold a secret.
            url: shown.url.replace(/\?.*$/s, ''),
            count: approval.count,
            reviewers: approval.reviewers,
            expires_at: new Date(approval.expiresAt).toISOString(),
          });
          if (this.#webhook !== null)
            this.#store.putDelivery({ approval: approval.id, nonce: crypto.randomUUID(), attempt: 0, at: now });
        });
        this.#schedule();
        this.#push('pending', { approval, shown });
        if ((await this.#notes.drain()).has(question.agent)) throw new Error('the question could not be recorded');
        return { kind: 'pending', id: approval.id };
      }
    }
  }

  /** Resolves when the approval is decided or over, and after `ms` at the latest. */
  async wait(id: string, ms: number): Promise<Waited> {
    const approval = this.#store.get(id)?.approval;
    if (approval === undefined) return 'expired';
    const state = stateAt(approval, Date.now());
    if (state !== 'pending') return state;
    const late = (): Waited => {
      this.#expire(Date.now());
      return stateOr(this.#store.get(id)?.approval);
    };
    return this.#waiting.wait(approval, Math.min(ms, Math.max(0, approval.expiresAt - Date.now()) + 1), late);
  }

  /** A call went out by this yes: for people; the ledger has counted it. */
  async used(id: string, requestId: string): Promise<void> {
    this.#change(id, (approval) => usedOnce(approval, requestId));
  }

  /** The ledger said that nothing is left of this yes. */
  async exhausted(id: string): Promise<void> {
    this.#change(id, exhausted);
  }

  /** The token that asked was revoked. */
  async revoked(id: string): Promise<void> {
    this.#end(id, 'revoked');
    await this.#notes.drain();
  }

  async get(id: string): Promise<StoredApproval | null> {
    this.#expire(Date.now());
    return this.#store.get(id);
  }

  async list(query: ListQuery): Promise<StoredApproval[]> {
    this.#expire(Date.now());
    return this.#store.list(query);
  }

  /** One operator's yes or no, durable when it returns, and in the chain as soon as the ledger takes it. */
  async decide({ id, decider, decision, link }: DecideRequest, requestId: string): Promise<DecideAnswer> {
    const now = Date.now();
    this.#expire(now);
    const stored = this.#store.get(id);
    if (stored === null) return { kind: 'unknown' };
    const nonce =
      link === null ? null : nonceOfLink(this.env.KEYWARDEN_WEBHOOK_SECRET ?? crypto.randomUUID(), id, link, now);
    if (link !== null && nonce === null) return { kind: 'link_used' };
    const { approval, shown } = stored;
    const result = decided(approval, decider, decision, now);
    if (!result.ok) return { kind: 'refused', why: result.error, approval };
    const next = result.value;
    if (next === approval) return { kind: 'ok', stored };
    if (nonce !== null && this.#store.isLinkBurnt(nonce)) return { kind: 'link_used' };
    this.ctx.storage.transactionSync(() => {
      if (nonce !== null) this.#store.burnLink(nonce, now);
      this.#store.update(next);
      const event = decision.verdict === 'approve' ? 'approval.approved' : 'approval.denied';
      this.#notes.add(next, event, requestId, decider.operator, {
        via: decision.via,
        scope: decision.verdict === 'approve' ? decision.scope : null,
        votes: decision.verdict === 'approve' ? `${next.votes.length}/${next.count}` : null,
        words: decision.reason,
      });
      if (next.state !== 'pending') this.#store.removeDelivery(id);
    });
    await this.ctx.storage.sync();
    this.#schedule();
    await this.#notes.drain();
    this.#push(next.state === 'pending' ? 'pending' : 'decided', { approval: next, shown });
    if (next.state !== 'pending') this.#waiting.wake(id, next.state);
    if (next.scope === 'alike' && next.alikeKey !== null)
      for (const kin of this.#store.pendingOfKind(next.alikeKey)) this.#waiting.wake(kin.id, 'kin');
    return { kind: 'ok', stored: { approval: next, shown } };
  }

  /** A live reviewer's WebSocket. The route has authenticated who comes. */
  override async fetch(request: Request): Promise<Response> {
    return this.#seats.take(request, () => {
      const now = Date.now();
      this.#expire(now);
      const pending = this.#store.list({ state: 'pending', agent: null, session: null, limit: 100, before: null });
      return {
        type: 'hello',
        pending: this.#store.pendingCount(null),
        approvals: pending.map((one) => approvalJson(one, now)),
      };
    });
  }

  async leave(session: string): Promise<void> {
    this.#seats.leave(session);
  }

  override async webSocketMessage(socket: WebSocket): Promise<void> {
    // Only `ping` is known, and that is answered without waking the desk.
    socket.close(1008, 'this socket only listens');
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    socket.close(code === 1005 || code === 1006 ? 1000 : code);
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = null;
    const now = Date.now();
    this.#expire(now);
    const stuck = await this.#notes.drain();
    if (this.#webhook !== null) await deliverDue(this.#store, this.#webhook, now);
    this.#store.prune(now - KEPT_MS);
    this.#schedule(stuck.size === 0 ? null : now + NOTE_RETRY_MS);
  }

  #change(id: string, change: (approval: Approval) => Approval): void {
    const stored = this.#store.get(id);
    if (stored === null) return;
    const next = change(stored.approval);
    if (next === stored.approval) return;
    this.#store.update(next);
    this.#push('decided', { ...stored, approval: next });
  }

  #expire(now: number): void {
    for (const { approval } of this.#store.overdue(now)) this.#end(approval.id, 'time');
  }

  #end(id: string, reason: 'time' | 'revoked' | 'superseded'): void {
    const stored = this.#store.get(id);
    if (stored === null) return;
    const next = ended(stored.approval, reason);
    if (next === stored.approval) return;
    this.ctx.storage.transactionSync(() => {
      this.#store.update(next);
      this.#store.removeDelivery(id);
      this.#notes.add(next, 'approval.expired', id, null, { why: reason, was: stored.approval.state });
    });
    this.#schedule(Date.now());
    this.#push('decided', { ...stored, approval: next });
    this.#waiting.wake(id, 'expired');
  }

  #push(type: 'pending' | 'decided', stored: StoredApproval): void {
    this.#seats.tell((now) => ({ type, approval: approvalJson(stored, now) }));
  }

  #schedule(by: number | null = null): void {
    const next = this.#store.nextAt(this.#webhook !== null);
    const at = by === null ? next : next === null ? by : Math.min(by, next);
    if (at === null || (this.#alarmAt !== null && this.#alarmAt <= at)) return;
    this.#alarmAt = at;
    void this.ctx.storage.setAlarm(Math.max(at, Date.now()));
  }
}

const stateOr = (approval: Approval | undefined): ApprovalState =>
  approval === undefined ? 'expired' : stateAt(approval, Date.now());

const grantOf = (approval: Approval): GrantedApproval => ({
  id: approval.id,
  uses: approval.uses,
  goodForMs: approval.expiresAt - (approval.decidedAt ?? approval.createdAt),
  asker: { session: approval.session, tokenId: approval.tokenId, issuedAtMs: approval.tokenIssuedAtMs },
});
