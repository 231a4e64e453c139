import { describe, expect, it } from 'vitest';
import { compilePolicies } from '../../src/policy/compile.ts';
import { explainAccess } from '../../src/policy/explain.ts';
import { editorSchemas } from '../../src/policy/schema.ts';

const policy = (approval: string): string => `service: bank
origin: https://bank.example
credential: { scheme: bearer, secret: BANK_KEY }
capabilities:
  pay:
    allow: POST /v1/payments
    approval: ${approval}
`;
const compile = (approval: string) =>
  compilePolicies([{ name: 'bank.yaml', text: policy(approval) }], { allowLoopbackHttp: false });
const specOf = (approval: string) => {
  const compiled = compile(approval);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  return compiled.value.services['bank']?.capabilities[0]?.approval;
};

describe('approval in a policy', () => {
  it.each([
    ['required', { when: null, reviewers: null, count: 1, ttlMs: 900_000 }],
    [
      '{ when: body.amount > 1000, reviewers: finance, count: 2, ttl: 10m }',
      { when: 'body.amount > 1000', reviewers: 'finance', count: 2, ttlMs: 600_000 },
    ],
    [
      '{ alike: { count: 5 } }',
      {
        when: null,
        reviewers: null,
        count: 1,
        ttlMs: 900_000,
        alike: { count: 5, forMs: 600_000, same: ['path', 'query'] },
      },
    ],
    [
      '{ separate: true, alike: { count: 2, for: 1h, same: [query, body.to, query] } }',
      {
        when: null,
        reviewers: null,
        count: 1,
        ttlMs: 900_000,
        alike: { count: 2, forMs: 3_600_000, same: ['body.to', 'query'] },
        separate: true,
      },
    ],
  ])('%s', (written, ruled) => expect(specOf(written)).toEqual(ruled));

  it.each([
    ['{ count: 3 }', /count/],
    ['{ ttl: 2d }', /more than 1d/],
    ['{ ttl: 5ms }', /nobody decides/],
    ['{ reviewers: "a b" }', /reviewers/],
    ['{ reviewer: finance }', /reviewer/],
    ['{ when: body.amount >> 1 }', /./],
    ['{ separate: false }', /separate/],
    ['{ alike: {} }', /count/],
    ['{ alike: { count: 1 } }', /plain yes/],
    ['{ alike: { count: 101 } }', /more than 100/],
    ['{ alike: { count: 5, for: 2h } }', /more than 1h/],
    ['{ alike: { count: 5, same: [] } }', /empty/],
    ['{ alike: { count: 5, same: [header.x] } }', /nothing that can be kept the same/],
    ['{ alike: { count: 5, like: path } }', /like/],
    ['sometimes', /approval/],
  ])('%s is an error with its place and a fix', (written, message) => {
    const compiled = compile(written);
    expect(compiled.ok).toBe(false);
    if (compiled.ok) return;
    expect(compiled.error).toHaveLength(1);
    expect(compiled.error[0]).toMatchObject({ file: 'bank.yaml', line: 7 });
    expect(`${compiled.error[0]?.message} ${compiled.error[0]?.fix}`).toMatch(message);
    expect(compiled.error[0]?.fix.length).toBeGreaterThan(3);
  });

  it('changes the hash of the policies, so that what was approved before is asked again', () => {
    const hashes = [
      'required',
      '{ count: 2 }',
      '{ alike: { count: 2 } }',
      '{ alike: { count: 3 } }',
      '{ separate: true }',
    ]
      .map(compile)
      .map((one) => (one.ok ? one.value.hash : ''));
    expect(new Set(hashes).size).toBe(5);
  });

  it('is explained in words', () => {
    const compiled = compile(
      '{ when: body.amount > 1000, reviewers: finance, count: 2, ttl: 10m, alike: { count: 5 }, separate: true }',
    );
    if (!compiled.ok) throw new Error('does not compile');
    const { verdict, words } = explainAccess(compiled.value, {
      service: 'bank',
      method: 'POST',
      target: '/v1/payments',
      can: ['bank:pay'],
      agent: 'a',
      session: null,
      headers: new Map([['content-type', 'application/json']]),
      body: '{"amount":2000}',
      now: 0,
    });
    expect(verdict).toBe('approval');
    expect(words).toContain(
      "Needs a person's approval: bank:pay by 'POST /v1/payments'. Two people of finance must agree within 10 min. Who minted the token does not count. One yes may cover up to 5 calls in 10 min with the same path, query.",
    );
  });

  it('stands in the schema for editors', () => {
    const text = JSON.stringify(editorSchemas().service);
    for (const word of ['alike', 'reviewers', 'separate', 'same']) expect(text).toContain(`"${word}"`);
  });
});
