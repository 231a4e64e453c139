import { Hono } from 'hono';
import { mintToken } from '../capability/mint.ts';
import { MAX_TOKEN_BYTES, verifySignature } from '../capability/verify.ts';
import { stopFor } from '../db/stops.ts';
import { agentsOfSession, findToken, insertToken, isSessionRevoked, revokeSessions } from '../db/tokens.ts';
import { revoke } from '../ledger/client.ts';
import { decideMint } from '../policy/grants.ts';
import { capabilityIndex } from '../policy/names.ts';
import { closestOf } from '../policy/spelling.ts';
import { MAX_TTL_SECONDS, MintRequest, type MintResponse, RevokeRequest, type RevokeResponse } from '../protocol.ts';
import type { Api, ApiContext } from './context.ts';
import { noteOperator } from './operator-note.ts';
import { operatorOnly } from './operator-only.ts';
import { refuse } from './refuse.ts';
import { requestOf } from './request.ts';

export const tokens = new Hono<Api>();

tokens.post('/', operatorOnly('mint'), async (c) => {
  const parsed = await requestOf(c, MintRequest);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const edge = c.get('edge');
  const { agent_id: agent, session_id: session = null } = parsed.value;
  const capabilities = [...new Set(parsed.value.capabilities)];
  const asked = parsed.value.ttl_seconds ?? null;

  const known = capabilityIndex(edge.bundle);
  const unknown = capabilities.filter((name) => !known.has(name));
  if (unknown.length > 0) {
    const hints = unknown.map((name) => {
      const near = closestOf(name, known.keys());
      return near === null ? name : `${name} (did you mean ${near}?)`;
    });
    return refuse(c, 400, 'capability_unknown', `No policy defines ${hints.join(', ')}.`);
  }
  const grant = decideMint(edge.bundle.agents, edge.dev, { agent, capabilities, ttlSeconds: asked });
  const operator = c.get('operator').id;
  const base = { agent, session, operator, capability: capabilities[0] ?? null };
  if (!grant.ok) {
    const detail = { capabilities: capabilities.join(' '), ttl_seconds: asked };
    await noteOperator(c, { ...base, event: 'token.refused', reason: grant.error.kind, detail });
    return refuse(c, 403, grant.error.kind, mintRefusalText(agent, grant.error));
  }

  const nowMs = Date.now();
  const { ttlSeconds } = grant.value;
  const minted = await mintToken({ agent, session, capabilities, ttlSeconds }, edge.keys, edge.expected, nowMs);
  if (minted.token.length > MAX_TOKEN_BYTES)
    return refuse(
      c,
      400,
      'token_too_long',
      `With so many long capability names the token would have ${minted.token.length} characters, and none of more than ${MAX_TOKEN_BYTES} is taken. Ask for fewer at once.`,
    );
  // First on the list, then the look whether the session was revoked: whichever comes first of this and a revocation sees the other.
  await insertToken(c.env.DB, {
    tokenId: minted.tokenId,
    agent,
    session,
    capabilities,
    issuedAt: nowMs,
    expiresAt: minted.expiresAtMs,
    mintedBy: operator,
  });
  if (session !== null && (await isSessionRevoked(c.env.DB, session))) {
    return refuse(c, 409, 'session_revoked', `The session ${session} was revoked; no further token is given for it.`);
  }
  // The same with a stop.
  const services = new Set(capabilities.map((name) => known.get(name)?.service.service ?? ''));
  const stop = await stopFor(c.env.DB, [...services]);
  if (stop !== null) {
    const what = stop.scope === 'everything' ? 'Everything' : `The service ${stop.scope.slice('service:'.length)}`;
    return refuse(
      c,
      409,
      'stopped',
      `${what} was stopped by ${stop.placedBy}; no token is given until that is lifted.`,
    );
  }
  const detail = { capabilities: capabilities.join(' '), ttl_seconds: ttlSeconds };
  const recorded = await noteOperator(c, { ...base, event: 'token.minted', tokenId: minted.tokenId, detail });
  if (!recorded.ok) return refuse(c, 503, recorded.error.code, 'The ledger is not available; no token was given.');

  return c.json({
    token: minted.token,
    agent_id: agent,
    capabilities,
    expires_at: new Date(minted.expiresAtMs).toISOString(),
    token_id: minted.tokenId,
    ...(session === null ? {} : { session_id: session }),
    ...(edge.bundle.agents.source === 'absent'
      ? {
          warning:
            'There is no agents.yaml: under keywarden dev any agent may hold anything; in production nobody may.',
        }
      : {}),
  } satisfies MintResponse);
});

tokens.post('/revoke', operatorOnly('mint'), async (c) => {
  const parsed = await requestOf(c, RevokeRequest);
  if (!parsed.ok) {
    return refuse(
      c,
      400,
      'request_invalid',
      'Send exactly one of {"token_id"}, {"token"}, {"session_id"}, {"agent_id"}.',
    );
  }
  const request = parsed.value;
  const now = Date.now();
  const until = now + MAX_TTL_SECONDS * 1000;
  if ('session_id' in request) {
    await revokeSessions(c.env.DB, [request.session_id], now);
    const agents = await agentsOfSession(c.env.DB, request.session_id);
    return revokeAt(
      c,
      agents,
      'session',
      { by: 'session', session: request.session_id, until },
      { session: request.session_id },
    );
  }
  if ('token_id' in request || 'token' in request) {
    const named =
      'token_id' in request
        ? { tokenId: request.token_id, agent: request.agent_id ?? null }
        : await ownToken(c, request.token);
    if (named === null) return refuse(c, 400, 'token_invalid', 'This is no token of this edge.');
    const { tokenId } = named;
    // A token that opens the door is revoked though the list of those that were minted does not have it.
    const agent = (await findToken(c.env.DB, tokenId))?.agent ?? named.agent;
    if (agent === null)
      return refuse(
        c,
        404,
        'token_unknown',
        `No token ${tokenId} was minted here. Name its agent too, or revoke by agent or session instead.`,
      );
    return revokeAt(c, [agent], 'token', { by: 'token', tokenId, until }, { tokenId });
  }
  return revokeAt(c, [request.agent_id], 'agent', { by: 'agent', issuedUntilMs: now }, {});
});

async function revokeAt(
  c: ApiContext,
  agents: readonly string[],
  by: RevokeResponse['revoked'],
  revocation: Parameters<typeof revoke>[2],
  ids: { session?: string; tokenId?: string },
): Promise<Response> {
  // One ledger that does not answer keeps no other from being told.
  const away: string[] = [];
  let code = '';
  for (const agent of agents) {
    const done = await revoke(c.env, agent, revocation);
    if (!done.ok) {
      away.push(agent);
      code = done.error.code;
      continue;
    }
    const operator = c.get('operator').id;
    const recorded = await noteOperator(c, { event: 'token.revoked', operator, agent, ...ids, reason: by });
    if (!recorded.ok)
      console.error(`keywarden: error: a revocation stands but was not recorded: ${recorded.error.detail}`);
  }
  if (away.length > 0)
    return refuse(
      c,
      503,
      code,
      `The ledger of ${away.join(', ')} is not available; the revocation does NOT stand there. Send it again.`,
    );
  return c.json({ revoked: by, agents: [...agents] } satisfies RevokeResponse);
}

/** Whose token it is, by its own word, which our signature makes ours; expired or not. */
async function ownToken(c: ApiContext, token: string): Promise<{ tokenId: string; agent: string } | null> {
  const verified = await verifySignature(token, c.get('edge').keys.verifying);
  if (!verified.ok) return null;
  const { jti, sub } = JSON.parse(new TextDecoder().decode(verified.value.payload)) as { jti?: unknown; sub?: unknown };
  return typeof jti === 'string' && typeof sub === 'string' ? { tokenId: jti, agent: sub } : null;
}

function mintRefusalText(
  agent: string,
  refusal: Extract<ReturnType<typeof decideMint>, { ok: false }>['error'],
): string {
  switch (refusal.kind) {
    case 'agent_unknown':
      return `policies/agents.yaml lets ${agent} hold nothing. Add an entry for it and deploy.`;
    case 'capability_not_grantable':
      return `policies/agents.yaml does not let ${agent} hold ${refusal.capabilities.join(', ')}.`;
    case 'ttl_too_long':
      return `policies/agents.yaml lets a token of ${agent} live at most ${refusal.maxTtlSeconds} seconds.`;
  }
}
