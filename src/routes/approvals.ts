import { Hono } from 'hono';
import { decideAtDesk, findApproval, joinDesk, listApprovals, tellDesk } from '../approvals/client.ts';
import type { DecideAnswer, StoredApproval } from '../approvals/contract.ts';
import { approvalJson, detailJson, statusJson } from '../approvals/json.ts';
import { visible } from '../approvals/shown.ts';
import { type Decision, isSame, stateAt } from '../approvals/state.ts';
import { listRows } from '../audit/store.ts';
import { locateToken } from '../capability/locate.ts';
import type { Principal } from '../capability/principal.ts';
import { verifyToken } from '../capability/verify.ts';
import { findToken } from '../db/tokens.ts';
import type { Denial } from '../denial.ts';
import type { Fault } from '../fault.ts';
import { flushAgent, peek } from '../ledger/client.ts';
import { cursorOf, NO_CURSOR, placeOf } from '../lib/cursor.ts';
import {
  type ApprovalDetail,
  ApprovalId,
  type ApprovalListResponse,
  ApprovalQuery,
  ApproveRequest,
  DenyRequest,
} from '../protocol.ts';
import type { Api, ApiContext } from './context.ts';
import { operatorOnly } from './operator-only.ts';
import { ownProblem } from './own-problem.ts';
import { refuse } from './refuse.ts';
import { queryOf, requestOf } from './request.ts';
import { rowTime } from './row-time.ts';

export const approvals = new Hono<Api>();

const RECENT_MS = 15 * 60_000;
const RECENT_ROWS = 30;
const reviewer = operatorOnly('approve', 'audit');

/** Newest first. */
approvals.get('/', reviewer, async (c) => {
  const parsed = queryOf(c, ApprovalQuery);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const { state = null, agent = null, session = null, limit = 50, cursor } = parsed.value;
  const before = cursor === undefined ? null : approvalPlaceOf(cursor);
  if (cursor !== undefined && before === null) return refuse(c, 400, 'cursor_invalid', NO_CURSOR);
  const found = await listApprovals(c.env, { state, agent, session, limit: limit + 1, before });
  if (!found.ok) return faulty(c, found.error);
  const page = found.value.slice(0, limit);
  const last = page.at(-1)?.approval;
  const now = Date.now();
  return c.json({
    approvals: page.map((one) => approvalJson(one, now)),
    next_cursor: found.value.length > limit && last !== undefined ? cursorOf([last.createdAt, last.id]) : null,
  } satisfies ApprovalListResponse);
});

/** A WebSocket that tells of every approval asked for and decided: see `ApprovalEvent`. */
approvals.get('/live', reviewer, (c) => {
  if (c.req.header('upgrade')?.toLowerCase() !== 'websocket')
    return refuse(c, 426, 'upgrade_required', 'This is a WebSocket.');
  // A page of another origin could open one with this browser's cookies.
  const origin = c.req.header('origin');
  if (origin !== undefined && origin !== new URL(c.req.url).origin)
    return refuse(c, 403, 'origin_refused', 'Only the pages of this edge may listen here.');
  return joinDesk(c.env, c.get('signIn'));
});

/** For the agent that asked, by its own token: the state alone. For reviewers: everything to decide by. */
approvals.get('/:id', async (c, next) => {
  const agents = await byAgent(c);
  return agents ?? reviewer(c, next);
});
approvals.get('/:id', async (c) => {
  const stored = await storedOf(c);
  if (stored instanceof Response) return stored;
  return c.json(detailJson(stored, await recentOf(c, stored), Date.now()) satisfies ApprovalDetail);
});

approvals.post('/:id/approve', operatorOnly('approve'), async (c) => {
  const parsed = await requestOf(c, ApproveRequest, {});
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const { scope = 'once', reason, via = 'api', link } = parsed.value;
  return decide(c, { verdict: 'approve', scope, via, reason: words(reason) }, link ?? null);
});

approvals.post('/:id/deny', operatorOnly('approve'), async (c) => {
  const parsed = await requestOf(c, DenyRequest, {});
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const { reason, via = 'api', link } = parsed.value;
  return decide(c, { verdict: 'deny', scope: 'once', via, reason: words(reason) }, link ?? null);
});

const words = (reason: string | undefined): string | null => {
  const said = reason?.trim() ?? '';
  return said === '' ? null : visible(said);
};

async function decide(c: ApiContext, decision: Decision, link: string | null): Promise<Response> {
  const stored = await storedOf(c);
  if (stored instanceof Response) return stored;
  const { approval } = stored;
  const now = Date.now();
  // A yes to what a revoked token asked for would come too late to be right.
  if (decision.verdict === 'approve' && stateAt(approval, now) === 'pending') {
    const standing = await peek(
      c.env,
      {
        agent: approval.agent,
        session: approval.session,
        tokenId: approval.tokenId,
        issuedAtMs: approval.tokenIssuedAtMs,
        expiresAtMs: approval.tokenExpiresAtMs,
      },
      [],
    );
    if (!standing.ok) return faulty(c, standing.error);
    if (standing.value.revokedBy !== null) {
      await tellDesk(c.env, approval.id, 'revoked');
      return refuse(
        c,
        409,
        'approval_revoked',
        `The token that asked was revoked (by ${standing.value.revokedBy}), and the question ended with it.`,
      );
    }
  }
  const operator = c.get('operator');
  const answer = await decideAtDesk(
    c.env,
    {
      id: approval.id,
      decider: {
        operator: operator.id,
        names: [operator.id, ...operator.roles, ...(operator.groups ?? [])],
        admin: operator.roles.has('admin'),
        minted: approval.separate && isSame((await findToken(c.env.DB, approval.tokenId))?.mintedBy ?? '', operator.id),
      },
      decision: link === null ? decision : { ...decision, via: 'webhook' },
      link,
    },
    c.get('requestId'),
  );
  if (!answer.ok) return faulty(c, answer.error);
  if (answer.value.kind === 'ok') return c.json(approvalJson(answer.value.stored, Date.now()));
  return refusalOf(c, answer.value);
}

function refusalOf(c: ApiContext, answer: Exclude<DecideAnswer, { kind: 'ok' }>): Response {
  switch (answer.kind) {
    case 'unknown':
      return unknown(c);
    case 'link_used':
      return refuse(
        c,
        403,
        'link_invalid',
        'The decision link is not valid, too old, or was used. Decide without it: you are signed in.',
      );
    case 'refused': {
      const { why, approval } = answer;
      switch (why.kind) {
        case 'requester':
          return refuse(c, 403, 'requester_cannot_decide', 'Who asks cannot agree: somebody else must decide.');
        case 'not_a_reviewer':
          return refuse(c, 403, 'not_a_reviewer', `The policy lets only ${why.reviewers} decide about this.`);
        case 'alike_not_permitted':
          return refuse(c, 409, 'alike_not_permitted', 'The policy lets a yes cover this one call only.');
        case 'decided':
          return refuse(
            c,
            409,
            `approval_${why.state}`,
            why.by === null
              ? `It is ${why.state} already.`
              : `It is ${why.state} already: ${why.by} decided at ${new Date(approval.decidedAt ?? 0).toISOString()}.`,
          );
      }
    }
  }
}

/** The answer for an agent that presents its token; null when who asks is none. */
async function byAgent(c: ApiContext): Promise<Response | null> {
  const edge = c.get('edge');
  const token = locateToken(c.req.raw.headers, '', { header: null, queryParam: null });
  if (!token.ok) return null;
  const verified = await verifyToken(token.value, edge.keys.verifying, edge.expected, Date.now() / 1000);
  // An operator's key is no JWT; what looks like one and fails is an agent's all the same.
  if (!verified.ok) return /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/.test(token.value) ? problem(c, verified.error) : null;
  const principal: Principal = verified.value;
  const standing = await peek(c.env, principal, []);
  if (!standing.ok) return faulty(c, standing.error);
  if (standing.value.revokedBy !== null) return problem(c, { kind: 'token_revoked', by: standing.value.revokedBy });
  const stored = await storedOf(c);
  if (stored instanceof Response) return stored;
  const { agent, session } = stored.approval;
  // Another's approval does not exist for this agent.
  if (agent !== principal.agent || session !== principal.session) return unknown(c);
  return c.json(statusJson(stored.approval, Date.now()));
}

async function storedOf(c: ApiContext): Promise<StoredApproval | Response> {
  const id = ApprovalId.safeParse(c.req.param('id'));
  if (!id.success) return unknown(c);
  const found = await findApproval(c.env, id.data);
  if (!found.ok) return faulty(c, found.error);
  return found.value ?? unknown(c);
}

/** The agent's last rows before the question and since. An audit that cannot be read must not keep a person from saying no. */
async function recentOf(c: ApiContext, { approval }: StoredApproval): Promise<ApprovalDetail['recent']> {
  try {
    await flushAgent(c.env, approval.agent);
    const page = await listRows(c.env.DB, {
      agent: approval.agent,
      since: approval.createdAt - RECENT_MS,
      limit: RECENT_ROWS,
    });
    if (!page.ok) return [];
    return page.value.rows.map((row) => ({
      at: rowTime(row.at),
      event: row.event,
      request_id: row.requestId,
      capability: row.capability,
      service: row.service,
      method: row.method,
      path: row.path,
      decision: row.decision,
      reason: row.reason,
      status: row.status,
    }));
  } catch (error) {
    console.error(
      `keywarden: error: ${c.get('requestId')}: no recent rows: ${error instanceof Error ? error.name : ''}`,
    );
    return [];
  }
}

const unknown = (c: ApiContext): Response =>
  refuse(c, 404, 'approval_unknown', 'There is no such approval, or it is not yours to see.');

const faulty = (c: ApiContext, { code }: Fault): Response =>
  refuse(c, 503, code, 'The approvals desk or a ledger is not available. Try again.');

const problem = (c: ApiContext, reason: Denial): Response => ownProblem(reason, c.get('requestId'), c.req.method);

function approvalPlaceOf(cursor: string): { at: number; id: string } | null {
  const [at, id] = placeOf(cursor);
  return typeof at === 'number' && typeof id === 'string' ? { at, id } : null;
}
