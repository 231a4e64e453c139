import { describe, expect, it } from 'vitest';
import { VerifiedTokens } from '../../src/capability/cache.ts';
import type { Principal } from '../../src/capability/principal.ts';

const until = (expiresAtMs: number): Principal => ({
  agent: 'agent-1',
  session: null,
  tokenId: 't-1',
  issuedAtMs: 0,
  expiresAtMs,
  capabilities: new Set(['stripe:refund']),
});

describe('what the isolate remembers of a token that held', () => {
  it('speaks for it until the very millisecond in which the token expires, and never again', () => {
    const tokens = new VerifiedTokens(2);
    tokens.put('a', until(1000));
    expect(tokens.get('a', 999)).toEqual(until(1000));
    expect(tokens.get('a', 1000)).toBeUndefined();
    expect(tokens.get('a', 999)).toBeUndefined();
  });

  it('is of that very token', () => {
    const tokens = new VerifiedTokens(2);
    tokens.put('a', until(1000));
    expect(tokens.get('A', 1)).toBeUndefined();
    expect(tokens.get('', 1)).toBeUndefined();
  });

  it('is bounded: the oldest goes first', () => {
    const tokens = new VerifiedTokens(2);
    for (const token of ['a', 'b', 'c']) tokens.put(token, until(1000));
    expect(['a', 'b', 'c'].map((token) => tokens.get(token, 1) !== undefined)).toEqual([false, true, true]);
  });
});
