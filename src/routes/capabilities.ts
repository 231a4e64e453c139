import { Hono } from 'hono';
import { locateToken } from '../capability/locate.ts';
import { verifyToken } from '../capability/verify.ts';
import type { Denial } from '../denial.ts';
import type { Fault } from '../fault.ts';
import { peek } from '../ledger/client.ts';
import type { LimitState, NamedLimit } from '../ledger/contract.ts';
import { asWritten } from '../policy/as-written.ts';
import { grantOf } from '../policy/grants.ts';
import { capabilityIndex } from '../policy/names.ts';
import { BASE_FIELD, type CapabilitiesResponse, publicOriginOf } from '../protocol.ts';
import type { Api, ApiContext } from './context.ts';
import { ownProblem } from './own-problem.ts';

export const capabilities = new Hono<Api>();

/** What does this token allow, with the limits left. For agents; looking costs nothing of a limit. */
capabilities.get('/', async (c) => {
  const edge = c.get('edge');
  const token = locateToken(c.req.raw.headers, '', { header: null, queryParam: null });
  if (!token.ok) return no(c, token.error);
  const verified = await verifyToken(token.value, edge.keys.verifying, edge.expected, Date.now() / 1000);
  if (!verified.ok) return no(c, verified.error);
  const principal = verified.value;

  const index = capabilityIndex(edge.bundle);
  const held = [...principal.capabilities].map((name) => ({ name, found: index.get(name) ?? null }));
  const agentLimit = grantOf(edge.bundle.agents, edge.dev, principal.agent)?.limit ?? null;
  const limits: NamedLimit[] = agentLimit === null ? [] : [{ name: 'agent', spec: agentLimit }];
  for (const { found } of held) {
    if (found !== null && found.capability.limit !== null)
      limits.push({ name: found.capability.name, spec: found.capability.limit });
  }
  const left = await peek(c.env, principal, limits);
  if (!left.ok) return no(c, left.error);
  if (left.value.revokedBy !== null) return no(c, { kind: 'token_revoked', by: left.value.revokedBy });
  const leftOf = (name: string) => {
    const state = left.value.limits.find((l) => l.name === name);
    return state === undefined ? null : limitJson(state);
  };

  const origin = publicOriginOf(c.req.header(BASE_FIELD), new URL(c.req.url).origin);
  const body: CapabilitiesResponse = {
    agent_id: principal.agent,
    session_id: principal.session,
    token_id: principal.tokenId,
    expires_at: new Date(principal.expiresAtMs).toISOString(),
    capabilities: held.flatMap(({ found }) =>
      found === null
        ? []
        : [
            {
              name: found.capability.name,
              title: found.capability.title,
              description: found.capability.description,
              service: found.service.service,
              base_url: `${origin}/proxy/${found.service.service}`,
              allow: asWritten(found.capability.allow).map((rule) => rule.text),
              deny: asWritten(found.capability.deny).map((rule) => rule.text),
              when: found.capability.when,
              approval: found.capability.approval !== null,
              limit: leftOf(found.capability.name),
            },
          ],
    ),
    unknown: held.filter(({ found }) => found === null).map(({ name }) => name),
    agent_limit: leftOf('agent'),
  };
  return c.json(body);
});

const no = (c: ApiContext, reason: Denial | Fault): Response => ownProblem(reason, c.get('requestId'), c.req.method);

const limitJson = (l: LimitState) => ({
  name: l.name,
  quota: l.quota,
  window_seconds: l.windowSeconds,
  remaining: l.remaining,
  reset_seconds: l.resetSeconds,
});
