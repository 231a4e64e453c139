import { describe, expect, it } from 'vitest';
import type { BodyRefusal } from '../../src/denial.ts';
import type { Edge } from '../../src/edge.ts';
import { err, ok } from '../../src/lib/result.ts';
import type { Authorized, NeededApproval } from '../../src/pipeline/call.ts';
import { questionOf, shownOf } from '../../src/pipeline/question.ts';

interface Asked {
  readonly principal?: object;
  readonly capability?: string;
  readonly outgoing?: object;
  readonly type?: string;
  readonly operation?: string;
  readonly body?: unknown;
  readonly same?: readonly string[];
  readonly policyHash?: string;
}

function question(asked: Asked = {}) {
  const { type = 'application/json', body = { to: 'acct_1', amount: 1 }, same = ['path', 'body.to'] } = asked;
  const authorized = {
    principal: { agent: 'a', session: 's', tokenId: 't', issuedAtMs: 1, expiresAtMs: 2, ...asked.principal },
    capability: { name: asked.capability ?? 'bank:pay' },
    outgoing: {
      method: 'POST',
      origin: 'https://bank.example',
      path: '/v1/payments',
      query: 'x=1',
      fields: new Map([['content-type', type]]),
      ...asked.outgoing,
    },
  } as unknown as Authorized;
  const needed = {
    spec: { count: 1, ttlMs: 1000, reviewers: null, alike: { count: 3, forMs: 1000, same } },
    operation: asked.operation ?? 'POST /v1/payments',
    body: { bytes: new TextEncoder().encode(JSON.stringify(body)), parsed: ok(body) },
  } as unknown as NeededApproval;
  return questionOf(authorized, needed, { bundle: { hash: asked.policyHash ?? 'p' } } as Edge);
}

describe('a yes to calls of one kind (threat 24)', () => {
  it.each<[string, Asked]>([
    ['agent', { principal: { agent: 'b' } }],
    ['session', { principal: { session: null } }],
    ['token', { principal: { tokenId: 'u' } }],
    ['capability', { capability: 'bank:other' }],
    ['policy', { policyHash: 'q' }],
    ['rule', { operation: 'POST /v1/{any}' }],
    ['origin', { outgoing: { origin: 'https://bank.example:8443' } }],
    ['method', { outgoing: { method: 'PUT' } }],
    ['kind of body', { type: 'application/x-www-form-urlencoded' }],
    ['path, where the policy wants the same', { outgoing: { path: '/v1/other' } }],
    ['member, where the policy wants the same', { body: { to: 'acct_2', amount: 1 } }],
    ['absence of that member', { body: { amount: 1 } }],
  ])('covers none of another %s', (_, change) => {
    expect(question(change).alikeKey).toMatch(/^[0-9a-f]{64}$/);
    expect(question(change).alikeKey).not.toBe(question().alikeKey);
  });

  it('takes no two values of a member for one, nor its absence for an empty one', () => {
    const values = [null, '', 0, '0', false, 'null', [], [0], {}, { a: 1 }, '{"a":1}'];
    const keys = [{}, ...values.map((to) => ({ to }))].map((body) => question({ body }).alikeKey);
    expect(new Set(keys).size).toBe(values.length + 1);
  });

  it('covers what differs elsewhere, which by itself is another question', () => {
    for (const change of [{ body: { to: 'acct_1', amount: 2 } }, { outgoing: { query: 'x=2' } }]) {
      expect(question(change).alikeKey).toBe(question().alikeKey);
      expect(question(change).binding).not.toBe(question().binding);
    }
  });

  it.each([[['acct_1']], ['acct_1'], [null]])(
    'is none where what must be the same cannot be read of it: a body that is %j',
    (body) => expect(question({ body }).alikeKey).toBeNull(),
  );
});

it.each<[string, Asked]>([
  ['agent', { principal: { agent: 'b' } }],
  ['session', { principal: { session: null } }],
  ['capability', { capability: 'bank:other' }],
  ['policy', { policyHash: 'q' }],
  ['body', { body: { to: 'acct_1', amount: 2 } }],
])('another %s is another question', (_, change) => expect(question(change).binding).not.toBe(question().binding));

/** What reviewers see of a call with a body that could not be read. */
const shown = (outgoing: object, refusal: BodyRefusal, bytes: Uint8Array, spec: object = {}) =>
  shownOf(
    {
      call: { env: {} },
      capability: { title: 'Pay', description: '' },
      outgoing: { method: 'POST', origin: 'https://bank.example', path: '/v1/payments', query: '', ...outgoing },
      policy: { service: 'bank', title: 'Bank' },
    } as unknown as Authorized,
    {
      spec: { when: null, ...spec },
      operation: 'POST /v1/payments',
      body: { bytes, parsed: err(refusal) },
    } as unknown as NeededApproval,
    { bundle: { hash: 'p', services: {} } } as unknown as Edge,
  );

it.each([
  ['gzip', 'content_coding', 'binary', null],
  ['identity', 'content_type_unsupported', 'text', { kind: 'string', text: 'amount=9999', length: 11 }],
] as const)('a body in the coding %s, not read for %s, is shown as %s', (coding, refusal, form, value) => {
  const fields = new Map([
    ['content-type', 'text/plain'],
    ['content-encoding', coding],
  ]);
  const { body } = shown({ fields }, refusal, new TextEncoder().encode('amount=9999'));
  expect(body).toMatchObject({ form, unreadable: refusal, bytes: 11, value });
});

it('what telling parameters say is shown nowhere, neither of the call nor of all that one yes would cover', () => {
  const { url, pattern } = shown(
    { query: 'to=acct_1&password=hunter2', fields: new Map() },
    'content_type_missing',
    new Uint8Array(),
    { alike: { count: 2, forMs: 1000, same: ['query'] } },
  );
  expect(url).toBe('https://bank.example/v1/payments?to=acct_1&password=[masked]');
  expect(pattern).toContainEqual({ name: 'query', value: 'to=acct_1&password=[masked]' });
});
