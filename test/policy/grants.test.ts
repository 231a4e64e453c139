import { describe, expect, it } from 'vitest';
import { decideMint, type MintRequest } from '../../src/policy/grants.ts';
import type { AgentsPolicy } from '../../src/policy/ruled.ts';

const limit = { count: 600, periodMs: 60_000, burst: 600 };
const agents: AgentsPolicy = {
  source: 'file',
  grants: [
    { agent: 'ci-release', mayHold: ['git:push'], maxTtlSeconds: 60, limit },
    { agent: 'ci-*', mayHold: ['git:*', 'stripe:read_balance'], maxTtlSeconds: 7200, limit: null },
    { agent: 'root', mayHold: ['*'], maxTtlSeconds: 200_000, limit: null },
  ],
};
const mint = (request: Partial<MintRequest>, policy = agents, dev = false) =>
  decideMint(policy, dev, { agent: 'ci-1', capabilities: ['git:clone'], ttlSeconds: null, ...request });

describe('minting', () => {
  it.each([
    ['the default is fifteen minutes', {}, { ttlSeconds: 900, limit: null }],
    [
      'or less, where the agent may have no more',
      { agent: 'ci-release', capabilities: ['git:push'] },
      { ttlSeconds: 60, limit },
    ],
    [
      'an exact name and a prefix',
      { capabilities: ['git:push', 'stripe:read_balance'], ttlSeconds: 7200 },
      { ttlSeconds: 7200, limit: null },
    ],
    [
      'a day at most, whatever the policy says',
      { agent: 'root', ttlSeconds: 86_400 },
      { ttlSeconds: 86_400, limit: null },
    ],
  ])('%s', (_law, request, value) => {
    expect(mint(request)).toEqual({ ok: true, value });
  });

  it.each([
    ['an agent that no entry fits', { agent: 'other' }, { kind: 'agent_unknown' }],
    ['an id without a star is no prefix', { agent: 'root2' }, { kind: 'agent_unknown' }],
    ['nor is it one but for its last letter', { agent: 'roo' }, { kind: 'agent_unknown' }],
    [
      'a full name is no prefix',
      { capabilities: ['stripe:read_balances', 'stripe:read_balanc'] },
      { kind: 'capability_not_grantable', capabilities: ['stripe:read_balances', 'stripe:read_balanc'] },
    ],
    ['the pattern is a prefix of the id, not a part', { agent: 'x-ci-1' }, { kind: 'agent_unknown' }],
    [
      'the first entry that fits decides alone',
      { agent: 'ci-release', capabilities: ['git:clone'] },
      { kind: 'capability_not_grantable', capabilities: ['git:clone'] },
    ],
    [
      'all that may not be held are named',
      { capabilities: ['git:push', 'gitx:a', 'stripe:refund'] },
      { kind: 'capability_not_grantable', capabilities: ['gitx:a', 'stripe:refund'] },
    ],
    ['too long', { ttlSeconds: 7201 }, { kind: 'ttl_too_long', maxTtlSeconds: 7200 }],
    ['more than a day', { agent: 'root', ttlSeconds: 86_401 }, { kind: 'ttl_too_long', maxTtlSeconds: 86_400 }],
    ['no time at all', { ttlSeconds: 0 }, { kind: 'ttl_too_long', maxTtlSeconds: 7200 }],
    ['not a number', { ttlSeconds: Number.NaN }, { kind: 'ttl_too_long', maxTtlSeconds: 7200 }],
  ])('%s is refused', (_law, request, error) => {
    expect(mint(request)).toEqual({ ok: false, error });
  });

  it('without agents.yaml nobody may mint, except under keywarden dev', () => {
    const absent: AgentsPolicy = { source: 'absent', grants: [] };
    expect(mint({}, absent)).toEqual({ ok: false, error: { kind: 'agent_unknown' } });
    expect(mint({}, absent, true)).toMatchObject({ ok: true });
    // A file that names nobody is no absent one.
    expect(mint({}, { source: 'file', grants: [] }, true)).toEqual({ ok: false, error: { kind: 'agent_unknown' } });
    expect(mint({ agent: 'other' }, agents, true)).toEqual({ ok: false, error: { kind: 'agent_unknown' } });
  });
});
