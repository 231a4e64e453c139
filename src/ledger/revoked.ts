import type { LedgerPrincipal, Revocation } from './contract.ts';

/**
 * What is revoked in one ledger: key → Unix ms. For a token or a session the time after which the entry may be forgotten;
 * for the agent the time up to which its tokens are dead.
 */
export type RevokedState = ReadonlyMap<string, number>;

const AGENT_KEY = 'agent';
const tokenKey = (tokenId: string): string => `token:${tokenId}`;
const sessionKey = (session: string): string => `session:${session}`;

/** The entry that a revocation makes. A later one moves a time on, never back. */
export function entryOf(revocation: Revocation): { readonly key: string; readonly until: number } {
  switch (revocation.by) {
    case 'token':
      return { key: tokenKey(revocation.tokenId), until: revocation.until };
    case 'session':
      return { key: sessionKey(revocation.session), until: revocation.until };
    case 'agent':
      return { key: AGENT_KEY, until: revocation.issuedUntilMs };
  }
}

/** By what a principal is revoked, or null. */
export function revokedBy(state: RevokedState, principal: LedgerPrincipal): Revocation['by'] | null {
  const cutOff = state.get(AGENT_KEY);
  if (cutOff !== undefined && principal.issuedAtMs <= cutOff) return 'agent';
  if (principal.session !== null && state.has(sessionKey(principal.session))) return 'session';
  return state.has(tokenKey(principal.tokenId)) ? 'token' : null;
}

/** Entries whose tokens have expired by themselves. An agent's cut-off stays. */
export const staleKeys = (state: RevokedState, now: number): string[] =>
  [...state].filter(([key, until]) => key !== AGENT_KEY && until < now).map(([key]) => key);
