import { err, ok, type Result } from '../lib/result.ts';
import type { AgentGrant, AgentsPolicy, RateSpec } from './ruled.ts';

/** No token lives longer, whatever a policy says; nor would one be taken (`MAX_LIFETIME_SECONDS` of its claims). */
const MAX_TTL_SECONDS = 24 * 60 * 60;
export const DEFAULT_TTL_SECONDS = 15 * 60;

export interface MintRequest {
  readonly agent: string;
  /** Full capability names. */
  readonly capabilities: readonly string[];
  /** Null asks for the default: 15 minutes, or less where the agent may have no more. */
  readonly ttlSeconds: number | null;
}

export type MintRefusal =
  | { readonly kind: 'agent_unknown' }
  | { readonly kind: 'capability_not_grantable'; readonly capabilities: readonly string[] }
  | { readonly kind: 'ttl_too_long'; readonly maxTtlSeconds: number };

export interface MintGrant {
  readonly ttlSeconds: number;
  /** The agent's limit over all its capabilities, or null. */
  readonly limit: RateSpec | null;
}

/**
 * Whether an agent may be given a token for these capabilities, and for how long. The first grant whose pattern fits the
 * agent decides alone. Whether a capability exists is for the caller to know.
 *
 * @param dev  Under `keywarden dev` alone: without an agents.yaml any agent may hold anything.
 */
export function decideMint(agents: AgentsPolicy, dev: boolean, request: MintRequest): Result<MintGrant, MintRefusal> {
  const grant = grantOf(agents, dev, request.agent);
  if (grant === null) return err({ kind: 'agent_unknown' });
  const refused = request.capabilities.filter((name) => !grant.mayHold.some((pattern) => patternCovers(pattern, name)));
  if (refused.length > 0) return err({ kind: 'capability_not_grantable', capabilities: refused });
  const maxTtlSeconds = Math.min(grant.maxTtlSeconds, MAX_TTL_SECONDS);
  const ttlSeconds = request.ttlSeconds ?? Math.min(DEFAULT_TTL_SECONDS, maxTtlSeconds);
  if (!(ttlSeconds > 0 && ttlSeconds <= maxTtlSeconds)) return err({ kind: 'ttl_too_long', maxTtlSeconds });
  return ok({ ttlSeconds, limit: grant.limit });
}

const ANYTHING: AgentGrant = { agent: '*', mayHold: ['*'], maxTtlSeconds: MAX_TTL_SECONDS, limit: null };

/** The grant that speaks for an agent: its limit is also asked for on every call. Null: the agent may hold nothing. */
export function grantOf(agents: AgentsPolicy, dev: boolean, agent: string): AgentGrant | null {
  if (agents.source === 'absent') return dev ? ANYTHING : null;
  return agents.grants.find((grant) => agentFits(grant.agent, agent)) ?? null;
}

function agentFits(pattern: string, agent: string): boolean {
  return pattern.endsWith('*') ? agent.startsWith(pattern.slice(0, -1)) : agent === pattern;
}

/** `*`, `github:*`, or one full name. */
export function patternCovers(pattern: string, capability: string): boolean {
  if (pattern === '*') return true;
  return pattern.endsWith(':*') ? capability.startsWith(pattern.slice(0, -1)) : capability === pattern;
}
