import { describe, expect, it } from 'vitest';
import type { LedgerPrincipal, Revocation } from '../../src/ledger/contract.ts';
import { forgettableKeys, type RevokedState, revokedBy, revokedEntry } from '../../src/ledger/revoked.ts';

const principal: LedgerPrincipal = { agent: 'a', session: 's', tokenId: 't', issuedAtMs: 1000, expiresAtMs: 9000 };
const after = (...revocations: Revocation[]): RevokedState =>
  revocations.reduce<RevokedState>((state, one) => new Map(state).set(...revokedEntry(state, one)), new Map());

describe('a token is revoked', () => {
  it.each<[string, Revocation, 'token' | 'session' | 'agent' | null]>([
    ['by its id', { by: 'token', tokenId: 't', until: 9000 }, 'token'],
    ['not by another id', { by: 'token', tokenId: 'T', until: 9000 }, null],
    ['by its session', { by: 'session', session: 's', until: 9000 }, 'session'],
    ['not by a session spelled like its id', { by: 'session', session: 't', until: 9000 }, null],
    ['by a cutoff after its issue', { by: 'agent', issuedUntilMs: 1001 }, 'agent'],
    ['by a cutoff in the very millisecond of its issue', { by: 'agent', issuedUntilMs: 1000 }, 'agent'],
    ['not by a cutoff before its issue', { by: 'agent', issuedUntilMs: 999 }, null],
  ])('%s', (_, revocation, by) => {
    expect(revokedBy(after(revocation), principal)).toBe(by);
  });

  it('a token without a session is not touched by a session, however named', () => {
    expect(
      revokedBy(after({ by: 'session', session: 'null', until: 9000 }), { ...principal, session: null }),
    ).toBeNull();
  });

  it('ids cannot be spelled so as to name another entry', () => {
    expect(revokedBy(after({ by: 'token', tokenId: 'agent', until: 1e15 }), principal)).toBeNull();
  });
});

it('a later revocation never gives back what an earlier one took', () => {
  expect(revokedBy(after({ by: 'agent', issuedUntilMs: 2000 }, { by: 'agent', issuedUntilMs: 5 }), principal)).toBe(
    'agent',
  );
});

it("entries of expired tokens are forgotten; an agent's cutoff never is", () => {
  const state = after({ by: 'token', tokenId: 't', until: 100 }, { by: 'agent', issuedUntilMs: 1 });
  expect(forgettableKeys(state, 99)).toEqual([]);
  // A clock that lags behind by hours may still take the token for valid.
  expect(forgettableKeys(state, 100 + 3_600_000)).toEqual([]);
  const keys = forgettableKeys(state, 1e15);
  expect(keys).toHaveLength(1);
  const left = new Map([...state].filter(([key]) => !keys.includes(key)));
  expect(revokedBy(left, { ...principal, issuedAtMs: 1 })).toBe('agent');
});
