import * as z from 'zod/mini';
import { MAX_LIFETIME_SECONDS } from '../capability/claims.ts';
import { AgentId, CapabilityName, SessionId } from './ids.ts';

/** The edge takes no token that lives longer, so that none is asked for, and no session either. */
export const MAX_TTL_SECONDS = MAX_LIFETIME_SECONDS;

export const MintRequest = z.strictObject({
  agent_id: AgentId,
  capabilities: z
    .array(CapabilityName)
    .check(z.minLength(1, 'name at least one capability'), z.maxLength(100, 'at most 100 capabilities a token')),
  ttl_seconds: z.optional(
    z
      .int()
      .check(
        z.minimum(1),
        z.maximum(MAX_TTL_SECONDS, `a token lives at most ${MAX_TTL_SECONDS} seconds (24 h)`),
        z.describe('Lifetime in seconds, 900 unless said'),
      ),
  ),
  session_id: z.optional(SessionId),
});
export type MintRequest = z.infer<typeof MintRequest>;

export const MintResponse = z.object({
  token: z.string(),
  agent_id: AgentId,
  capabilities: z.array(CapabilityName),
  expires_at: z.iso.datetime(),
  token_id: z.string(),
  session_id: z.optional(SessionId),
  warning: z.optional(z.string()),
});
export type MintResponse = z.infer<typeof MintResponse>;

export const RevokeRequest = z.union([
  z.strictObject({ token_id: z.string().check(z.minLength(1), z.maxLength(128)), agent_id: z.optional(AgentId) }),
  z.strictObject({ token: z.string().check(z.minLength(1), z.maxLength(8192)) }),
  z.strictObject({ session_id: SessionId }),
  z.strictObject({ agent_id: AgentId }),
]);
export type RevokeRequest = z.infer<typeof RevokeRequest>;

export const RevokeResponse = z.object({
  revoked: z.enum(['token', 'session', 'agent']),
  /** The agents in whose ledgers the revocation stands. */
  agents: z.array(AgentId),
});
export type RevokeResponse = z.infer<typeof RevokeResponse>;

export const LimitLeft = z.object({
  name: z.string(),
  quota: z.int(),
  window_seconds: z.number(),
  remaining: z.int(),
  reset_seconds: z.int(),
});

export const CapabilitiesResponse = z.object({
  agent_id: AgentId,
  session_id: z.nullable(SessionId),
  token_id: z.string(),
  expires_at: z.iso.datetime(),
  capabilities: z.array(
    z.object({
      name: CapabilityName,
      title: z.string(),
      description: z.string(),
      service: z.string(),
      base_url: z.string(),
      allow: z.array(z.string()),
      deny: z.array(z.string()),
      when: z.nullable(z.string()),
      approval: z.boolean(),
      limit: z.nullable(LimitLeft),
    }),
  ),
  /** Names in the token that no policy defines any more. */
  unknown: z.array(z.string()),
  agent_limit: z.nullable(LimitLeft),
});
export type CapabilitiesResponse = z.infer<typeof CapabilitiesResponse>;
