import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CanonicalPath } from '../../src/access.ts';
import { planAccess } from '../../src/policy/decide.ts';
import { compileService, serviceOf } from '../../src/policy/service.ts';
import { ask, bundleOf, form, json, policyOf, serviceYaml, verdictOf } from './support.ts';

const shop = policyOf(`deny: "* /v1/keys"
capabilities:
  read:
    allow: [GET /v1/items, "GET /v1/items/{id}"]
  write:
    allow: "POST /v1/items/{id}"
    when: body.price <= 10
    deny: { match: "POST /v1/items/{id}", when: "params.id == 'frozen' || (has(body.locked) && body.locked == true)" }
  all:
    allow: "* /v1/{rest+}"
    deny: GET /v1/secrets
`);

describe('a decision', () => {
  it.each([
    ['what a held capability allows is allowed', { path: '/v1/items', held: ['pay:read'] }, 'allow'],
    ['GET does not include HEAD', { method: 'HEAD', path: '/v1/items', held: ['pay:read'] }, 'capability_missing'],
    ['what no rule names is unknown', { path: '/v2', held: ['pay:all'] }, 'operation_unknown'],
    ['what is allowed but not held is missing', { path: '/v1/items', held: [] }, 'capability_missing'],
    ['the service denies over every allow', { path: '/v1/keys', held: ['pay:all'] }, 'rule_denied'],
    ['a capability denies over the allow of another', { path: '/v1/secrets', held: ['pay:all'] }, 'rule_denied'],
    ['a denial of GET covers HEAD', { method: 'HEAD', path: '/v1/secrets', held: ['pay:all'] }, 'rule_denied'],
    ['a denial ignores a trailing slash', { method: 'DELETE', path: '/v1/keys/', held: ['pay:all'] }, 'rule_denied'],
    ['an allow does not', { path: '/v1/items/', held: ['pay:read'] }, 'operation_unknown'],
    [
      'a denial of a capability that is not held counts',
      { method: 'POST', path: '/v1/items/frozen', held: ['pay:all'], ...json({}) },
      'rule_denied',
    ],
    [
      'a denial that cannot be evaluated denies',
      { method: 'POST', path: '/v1/items/1', held: ['pay:all'], ...json({ locked: 'x' }) },
      'condition_unevaluable',
    ],
    [
      'a denial that needs a body that cannot be read denies',
      { method: 'POST', path: '/v1/items/1', held: ['pay:all'], headers: {}, body: 'x' },
      'body_refused',
    ],
    [
      'a condition that holds allows',
      { method: 'POST', path: '/v1/items/1', held: ['pay:write'], ...json({ price: 9 }) },
      'allow',
    ],
    [
      'one that does not hold is unmet',
      { method: 'POST', path: '/v1/items/1', held: ['pay:write'], ...json({ price: 11 }) },
      'condition_unmet',
    ],
    [
      'one that cannot be evaluated denies',
      { method: 'POST', path: '/v1/items/1', held: ['pay:write'], ...form('price=ten') },
      'condition_unevaluable',
    ],
    ['TRACE is refused', { method: 'TRACE', path: '/v1/items' }, 'method_refused'],
    ['CONNECT is refused', { method: 'CONNECT', path: '/v1/items' }, 'method_refused'],
    ['a method in lower case is refused', { method: 'get', path: '/v1/items' }, 'method_refused'],
    ['an unknown method is refused, whatever * says', { method: 'PROPFIND', path: '/v1/items' }, 'method_refused'],
  ])('%s', (_law, asked, verdict) => {
    expect(verdictOf(shop, asked)).toBe(verdict);
  });

  it('names the capabilities that would allow', () => {
    expect(ask(shop, { path: '/v1/items', held: [] })).toEqual({
      ok: false,
      error: { kind: 'capability_missing', wouldAllow: ['pay:read', 'pay:all'] },
    });
  });

  it('a condition that another right would meet says which right is missing, and reads no more than before', () => {
    const policy = policyOf(
      'capabilities: { fetch: { allow: GET /refs, when: query.service == "fetch" }, push: { allow: GET /refs, when: query.service == "push" } }',
    );
    const held = ['pay:fetch'];
    expect(ask(policy, { path: '/refs', query: 'service=push', held })).toEqual({
      ok: false,
      error: { kind: 'capability_missing', wouldAllow: ['pay:push'] },
    });
    expect(verdictOf(policy, { path: '/refs', query: 'service=other', held })).toBe('condition_unmet');
  });

  it('of several conditions that are not met the first is told, and what the others want beside it', () => {
    const policy = policyOf(
      'capabilities: { odd: { allow: GET /x, when: query.absent == "1" }, one: { allow: [{ match: GET /x, when: query.n == "1" }, { match: "GET /{id}", when: query.n == "2" }] }, three: { allow: GET /x, when: query.n == "3" } }',
    );
    expect(ask(policy, { path: '/x', query: 'n=0' })).toEqual({
      ok: false,
      error: {
        kind: 'condition_unmet',
        capability: 'pay:one',
        condition: 'query.n == "1"',
        others: ['pay:three only when: query.n == "3"'],
      },
    });
  });

  it('the first capability as written wins, those that need no body before those that do', () => {
    const policy = policyOf(
      'capabilities: { reads: { allow: POST /x, when: body.a == 1 }, first: { allow: POST /x, when: agent == "a" }, second: { allow: POST /x } }',
    );
    const decision = ask(policy, { method: 'POST', path: '/x', ...json({ a: 1 }) });
    expect(decision.ok && decision.value.capability.name).toBe('pay:first');
    expect(decision.ok && decision.value.operation).toBe('POST /x');
  });

  it('those that need no body come first also where a denial has read it', () => {
    const policy = policyOf(
      'deny: { match: POST /x, when: body.a == 2 }\ncapabilities: { reads: { allow: POST /x, when: body.a == 1 }, first: { allow: POST /x, when: agent == "a" } }',
    );
    const decision = ask(policy, { method: 'POST', path: '/x', ...json({ a: 1 }) });
    expect(decision.ok && decision.value.capability.name).toBe('pay:first');
  });

  it.each([
    ['', '/', 'GET /', 'allow'],
    ['', '/a', 'GET /a', 'allow'],
    ['', '/a/', 'GET /a', 'operation_unknown'],
    ['', '/a', 'GET /a/', 'operation_unknown'],
    ['', '/a/', 'GET /a/', 'allow'],
    ['trailing_slash: true', '/a/', 'GET /a', 'allow'],
    ['trailing_slash: true', '/a', 'GET /a/', 'allow'],
    ['trailing_slash: true', '/', 'GET /', 'allow'],
  ])(
    'a slash at the end is a part of the path, unless the policy says that it is none: %s %s by %s is %s',
    (head, path, rule, verdict) => {
      expect(verdictOf(policyOf(`${head}\ncapabilities: { read: { allow: ${rule} } }`), { path })).toBe(verdict);
    },
  );

  it('a body that cannot be read does not hinder what needs none', () => {
    const policy = policyOf(
      'capabilities: { reads: { allow: POST /x, when: body.a == 1 }, plain: { allow: POST /x, when: agent == "a" } }',
    );
    expect(verdictOf(policy, { method: 'POST', path: '/x', body: 'no type' })).toBe('allow');
    expect(verdictOf(policy, { method: 'POST', path: '/x', body: 'no type', agent: 'b' })).toBe('condition_unmet');
    expect(verdictOf(policy, { method: 'POST', path: '/x', body: 'no type', held: ['pay:reads'] })).toBe(
      'body_refused',
    );
  });
});

describe('approval', () => {
  const policy = policyOf(`capabilities:
  always: { allow: POST /a, approval: required }
  some: { allow: POST /b, approval: { when: body.amount > 10, reviewers: finance, count: 2, ttl: 5m } }
  guarded: { allow: POST /c, approval: required }
  free: { allow: POST /c, when: agent == "trusted" }
`);
  it.each([
    ['required asks always', { path: '/a' }, 'approval'],
    ['its condition decides', { path: '/b', ...json({ amount: 10 }) }, 'allow'],
    ['its condition decides, the other way', { path: '/b', ...json({ amount: 11 }) }, 'approval'],
    ['what cannot be told is for a person', { path: '/b', ...json({}) }, 'approval'],
    ['a body that cannot be read is for a person', { path: '/b', body: 'x' }, 'approval'],
    ['a capability without approval wins over one with', { path: '/c', agent: 'trusted' }, 'allow'],
    ['unless it does not hold', { path: '/c', agent: 'other' }, 'approval'],
  ])('%s', (_law, asked, verdict) => {
    expect(verdictOf(policy, { method: 'POST', ...asked })).toBe(verdict);
  });

  it('of several rights that ask a person the first as written is asked for', () => {
    const policy = policyOf(
      'capabilities: { one: { allow: GET /x, approval: required }, two: { allow: GET /x, approval: { count: 2 } } }',
    );
    const decision = ask(policy, { path: '/x' });
    expect(decision.ok && [decision.value.capability.name, decision.value.approval?.count]).toEqual(['pay:one', 1]);
  });

  it('is reported as written', () => {
    const decision = ask(policy, { method: 'POST', path: '/b', ...json({ amount: 11 }) });
    expect(decision.ok && decision.value.approval).toEqual({
      when: 'body.amount > 10',
      reviewers: 'finance',
      count: 2,
      ttlMs: 300_000,
    });
  });
});

describe('the body is read only when a rule needs it', () => {
  const policy = policyOf(`capabilities:
  plain: { allow: POST /x }
  reads: { allow: POST /x, when: body.a == 1 }
  asks: { allow: POST /y, approval: { when: body.a == 1 } }
  denies: { allow: POST /z, deny: { match: POST /z, when: has(body.a) } }
`);
  const needs = (path: string, ...held: string[]): boolean => {
    const plan = planAccess(
      compileService(policy),
      { service: 'pay', method: 'POST', path: path as CanonicalPath, query: '' },
      new Set(held),
    );
    if (!plan.ok) throw new Error(plan.error.kind);
    return plan.value.needsBody;
  };
  it('not for an unconditional right', () => expect(needs('/x', 'pay:plain')).toBe(false));
  it('not when an unconditional right wins anyway', () => expect(needs('/x', 'pay:plain', 'pay:reads')).toBe(false));
  it('for a condition on it', () => expect(needs('/x', 'pay:reads')).toBe(true));
  it('for an approval that depends on it', () => expect(needs('/y', 'pay:asks')).toBe(true));
  it('for a denial that depends on it', () => expect(needs('/z', 'pay:denies')).toBe(true));
});

describe('dropping a capability from a token never turns a no into a yes', () => {
  const rules = [
    'GET /a',
    'POST /a',
    '* /a',
    'GET /{x}',
    'POST /{x}',
    '* /{r+}',
    'GET|HEAD /a/b',
    'POST /a/{y}',
    'GET /a/',
  ];
  const conditions = [
    'agent == "a"',
    // A rule for GET alone may not read a body unconditionally: that does not compile.
    'method in ["GET", "HEAD"] || body.n <= 5',
    '!(method in ["GET", "HEAD"]) && has(body.n)',
    'query.q == "1"',
    'method in ["GET", "HEAD"] || body.n != "z"',
    'path == "/a"',
    'session == null',
  ];
  const entry = fc
    .tuple(fc.constantFrom(...rules), fc.option(fc.constantFrom(...conditions), { nil: null }))
    .map(([match, when]) => ({ match, ...(when === null ? {} : { when }) }));
  const capability = fc.record(
    {
      allow: fc.array(entry, { minLength: 1, maxLength: 3 }),
      deny: fc.array(entry, { minLength: 1, maxLength: 2 }),
      when: fc.constantFrom(...conditions),
      approval: fc.oneof(fc.constant('required'), fc.record({ when: fc.constantFrom(...conditions) })),
    },
    { requiredKeys: ['allow'] },
  );
  const asked = fc.record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE'),
    path: fc.constantFrom('/a', '/b', '/a/b', '/a/', '/a/b/c'),
    query: fc.constantFrom('', 'q=1', 'q=1&q=2'),
    headers: fc.constantFrom(
      {},
      { 'content-type': 'application/json' },
      { 'content-type': 'application/x-www-form-urlencoded' },
    ),
    body: fc.constantFrom('', '{"n":4}', '{"n":6}', '{"n":null}', 'n=4', '{}'),
    agent: fc.constantFrom('a', 'b'),
  });
  const rank = { deny: 0, approval: 1, allow: 2 };
  const rankOf = (verdict: string): number => rank[verdict === 'allow' || verdict === 'approval' ? verdict : 'deny'];

  it('for any policy, request and tokens', () => {
    const seen = { deny: 0, approval: 0, allow: 0 };
    fc.assert(
      fc.property(
        fc.array(capability, { minLength: 1, maxLength: 4 }),
        asked,
        fc.nat({ max: 15 }),
        fc.nat({ max: 15 }),
        (capabilities, request, mask, drop) => {
          const written = Object.fromEntries(capabilities.map((one, i) => [`c${i}`, one]));
          const policy = policyOf(`capabilities: ${JSON.stringify(written)}`);
          const held = policy.capabilities.map(({ name }) => name).filter((_name, i) => (mask >> i) % 2 === 1);
          const fewer = held.filter((_name, i) => (drop >> i) % 2 === 0);
          const before = rankOf(verdictOf(policy, { ...request, held }));
          const after = rankOf(verdictOf(policy, { ...request, held: fewer }));
          seen[(['deny', 'approval', 'allow'] as const)[before] as 'deny']++;
          expect(after).toBeLessThanOrEqual(before);
        },
      ),
      { numRuns: 600 },
    );
    // The law would hold of a policy that always denies, too.
    expect(Math.min(seen.deny, seen.approval, seen.allow)).toBeGreaterThan(0);
  });
});

describe('a service is found by its own id only', () => {
  it.each(['constructor', '__proto__', 'toString', 'PAY', ''])('%j is none', (id) => {
    expect(serviceOf(bundleOf(serviceYaml('capabilities: { r: { allow: GET /x } }')), id)).toBeNull();
  });
});
