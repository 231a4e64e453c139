import { Hono } from 'hono';
import {
  type LiveToken,
  liftStop,
  listStops,
  liveTokens,
  MAX_TOKENS,
  openSessions,
  placeStop,
  stopSessions,
  type TokensOf,
} from '../db/stops.ts';
import { revokeSessions } from '../db/tokens.ts';
import type { Fault } from '../fault.ts';
import { revoke } from '../ledger/client.ts';
import type { Revocation } from '../ledger/contract.ts';
import { ok, type Result } from '../lib/result.ts';
import type { PolicyBundle } from '../policy/ruled.ts';
import { serviceOf } from '../policy/service.ts';
import {
  MAX_TTL_SECONDS,
  type StopListResponse,
  type StopPreview,
  StopRequest,
  type StopResponse,
  StopScope,
  StopTarget,
} from '../protocol.ts';
import type { Api, ApiContext } from './context.ts';
import { noteOperator } from './operator-note.ts';
import { operatorOnly } from './operator-only.ts';
import { refuse } from './refuse.ts';
import { queryOf, requestOf } from './request.ts';

/**
 * The kill switch for a service or for everything. A call costs nothing more for it: placing it revokes every token that
 * reaches what is stopped, in the ledgers that each call asks anyway, and minting asks whether a stop stands.
 */
export const stops = new Hono<Api>();

/** Ledgers told at the same time. */
const AT_ONCE = 16;

stops.get('/', operatorOnly('audit', 'approve', 'mint'), async (c) =>
  c.json({
    stops: (await listStops(c.env.DB)).map(({ scope, placedAt, placedBy, reason }) => ({
      scope: scope === 'everything' ? ('everything' as const) : ('service' as const),
      service: scope === 'everything' ? null : scope.slice('service:'.length),
      placed_at: new Date(placedAt).toISOString(),
      placed_by: placedBy,
      reason,
    })),
  } satisfies StopListResponse),
);

/** What a stop would hit, before it is placed. */
stops.get('/preview', operatorOnly('audit', 'approve', 'mint'), async (c) => {
  const parsed = queryOf(c, StopTarget);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const target = parsed.value;
  const of = tokensOf(c.get('edge').bundle, target);
  const [tokens, open] = await Promise.all([liveTokens(c.env.DB, of, Date.now()), openSessions(c.env.DB)]);
  const byAgent = new Map<string, number>();
  for (const { agent } of tokens) byAgent.set(agent, (byAgent.get(agent) ?? 0) + 1);
  const running = new Set(open.map((one) => one.session));
  const sessions = new Map(
    tokens.flatMap(({ session, agent }) =>
      session === null ? [] : [[session, { session, agent, running: running.has(session) }]],
    ),
  );
  for (const { session, agent } of open) {
    const hit =
      target.scope === 'everything' ||
      (target.scope === 'agent' && target.agent === agent) ||
      (target.scope === 'session' && target.session === session);
    if (hit) sessions.set(session, { session, agent, running: true });
  }
  return c.json({
    tokens: tokens.length,
    agents: [...byAgent].map(([agent, count]) => ({ agent, tokens: count })).sort((a, b) => b.tokens - a.tokens),
    sessions: [...sessions.values()],
  } satisfies StopPreview);
});

stops.post('/', operatorOnly('approve'), async (c) => {
  const parsed = await requestOf(c, StopRequest);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const request = parsed.value;
  const { bundle } = c.get('edge');
  const service = request.scope === 'service' ? request.service : null;
  if (service !== null && serviceOf(bundle, service) === null)
    return refuse(c, 404, 'service_unknown', `No policy has the service ${service}.`);
  const now = Date.now();
  const operator = c.get('operator').id;
  const reason = request.reason?.trim() || null;
  // First the stop, then the list: a token minted meanwhile is on the list, or its minting sees the stop.
  const fresh = await placeStop(c.env.DB, { scope: scopeOf(request), placedAt: now, placedBy: operator, reason });
  const tokens = await liveTokens(c.env.DB, tokensOf(bundle, request), now);
  // A stopped service ends no sandbox: it may have other work.
  const open = service === null ? (await openSessions(c.env.DB)).map(({ session }) => session) : [];
  const done = await revokeTokens(c, tokens, service === null ? 'everything' : 'service', now);
  if (open.length > 0) {
    await revokeSessions(c.env.DB, open, now);
    await stopSessions(c.env.DB, open, operator, now);
  }
  // Not before the sessions: one ledger that does not answer keeps nobody's sandbox running.
  if (!done.ok)
    return refuse(c, 503, done.error.code, 'A ledger is not available; the stop is NOT complete. Send it again.');
  const agents = [...new Set(tokens.map((token) => token.agent))];
  if (tokens.length >= MAX_TOKENS)
    return refuse(
      c,
      503,
      'stop_incomplete',
      `Only the first ${MAX_TOKENS} tokens were revoked; none is minted any more.`,
    );
  // Sent again, it is recorded again: the first may have stood without a row.
  const noted = await noteOperator(c, {
    event: 'stop.placed',
    operator,
    service,
    reason: request.scope,
    detail: {
      tokens: tokens.length,
      agents: agents.length,
      ...(fresh ? {} : { again: true }),
      ...(reason === null ? {} : { words: reason }),
    },
  });
  if (!noted.ok) return refuse(c, 503, noted.error.code, 'The stop stands, but could not be recorded. Send it again.');
  return c.json({
    tokens: tokens.length,
    agents,
    sessions: open.length,
  } satisfies StopResponse);
});

stops.post('/lift', operatorOnly('approve'), async (c) => {
  const parsed = await requestOf(c, StopScope);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const scope = parsed.value;
  const service = scope.scope === 'service' ? scope.service : null;
  if (!(await listStops(c.env.DB)).some((stop) => stop.scope === scopeOf(scope)))
    return refuse(c, 404, 'stop_unknown', 'No such stop stands.');
  // Recorded first: nobody lifts a stop without a trace.
  const noted = await noteOperator(c, {
    event: 'stop.lifted',
    operator: c.get('operator').id,
    service,
    reason: scope.scope,
  });
  if (!noted.ok) return refuse(c, 503, noted.error.code, 'The ledger is not available; the stop stands.');
  if (!(await liftStop(c.env.DB, scopeOf(scope)))) return refuse(c, 404, 'stop_unknown', 'No such stop stands.');
  return c.body(null, 204);
});

const scopeOf = (scope: StopScope): string =>
  scope.scope === 'everything' ? 'everything' : `service:${scope.service}`;

function tokensOf(bundle: PolicyBundle, target: StopTarget): TokensOf {
  switch (target.scope) {
    case 'everything':
      return { by: 'all' };
    case 'service':
      return {
        by: 'capabilities',
        names: (serviceOf(bundle, target.service)?.capabilities ?? []).map((one) => one.name),
      };
    case 'agent':
      return { by: 'agent', value: target.agent };
    case 'session':
      return { by: 'session', value: target.session };
    case 'token':
      return { by: 'token_id', value: target.token_id };
  }
}

/**
 * Everything: all that an agent was given until now, and what was given while the stop was placed, or by a clock that is ahead.
 * A service: the tokens that reach it, each by its id.
 */
async function revokeTokens(
  c: ApiContext,
  tokens: readonly LiveToken[],
  why: 'everything' | 'service',
  now: number,
): Promise<Result<null, Fault>> {
  const agents = [...new Set(tokens.map((token) => token.agent))];
  const work: { agent: string; revocation: Revocation }[] = tokens
    .filter(({ issuedAt }) => why === 'service' || issuedAt > now)
    .map(({ agent, tokenId }) => ({
      agent,
      revocation: { by: 'token', tokenId, until: now + MAX_TTL_SECONDS * 1000 },
    }));
  if (why === 'everything')
    for (const agent of agents) work.push({ agent, revocation: { by: 'agent', issuedUntilMs: now } });
  const inGroups = async <T>(items: readonly T[], act: (item: T) => Promise<Result<unknown, Fault>>) => {
    let all: Result<unknown, Fault> = ok(null);
    for (let start = 0; start < items.length; start += AT_ONCE) {
      const answers = await Promise.all(items.slice(start, start + AT_ONCE).map(act));
      // One that fails keeps none after it from being told.
      if (all.ok) all = answers.find((answer) => !answer.ok) ?? all;
    }
    return all.ok ? ok(null) : all;
  };
  // All of them first: what is written about it can wait.
  const revoked = await inGroups(work, ({ agent, revocation }) => revoke(c.env, agent, revocation));
  if (!revoked.ok) return revoked;
  return inGroups(agents, (agent) =>
    noteOperator(c, {
      event: 'token.revoked',
      operator: c.get('operator').id,
      agent,
      reason: why,
      detail: { tokens: tokens.filter((token) => token.agent === agent).length },
    }),
  );
}
