import type { LedgerPrincipal, Revocation } from './contract.ts';

/**
 * What is revoked in one ledger: key → Unix ms. For a token or a session the time after which the entry may be forgotten;
 * for the agent the time up to which its tokens are dead.
 */
export type RevokedState = ReadonlyMap<string, number>;

const AGENT_KEY = 'agent';
const tokenKey = (tokenId: string): string => `token:${tokenId}`;
const sessionKey = (session: string): string => `session:${session}`;

/** The entry that a revocation makes of the state. A later one moves a time on, never back. */
export function revokedEntry(state: RevokedState, revocation: Revocation): readonly [key: string, until: number] {
  const [key, until] =
    revocation.by === 'token'
      ? [tokenKey(revocation.tokenId), revocation.until]
      : revocation.by === 'session'
        ? [sessionKey(revocation.session), revocation.until]
        : [AGENT_KEY, revocation.issuedUntilMs];
  return [key, Math.max(until, state.get(key) ?? until)];
}

/** By what a principal is revoked, or null. */
export function revokedBy(state: RevokedState, principal: LedgerPrincipal): Revocation['by'] | null {
  const cutOff = state.get(AGENT_KEY);
  if (cutOff !== undefined && principal.issuedAtMs <= cutOff) return 'agent';
  if (principal.session !== null && state.has(sessionKey(principal.session))) return 'session';
  return state.has(tokenKey(principal.tokenId)) ? 'token' : null;
}

const CLOCK_MARGIN_MS = 86_400_000;

/**
 * Entries whose tokens have expired by themselves, by any clock that is less than a day behind this one: a revoked token must
 * not live again where the clock that checks `exp` is late. An agent's cut-off stays.
 */
export const forgettableKeys = (state: RevokedState, now: number): string[] =>
  [...state].filter(([key, until]) => key !== AGENT_KEY && until + CLOCK_MARGIN_MS < now).map(([key]) => key);
