import { describe, expect, it } from 'vitest';
import { waitOf } from '../../src/pipeline/prefer.ts';
import { bindingOf, boundFields } from '../../src/pipeline/request-hash.ts';

describe('Prefer: wait=N (RFC 7240)', () => {
  it.each([
    [null, 25_000, undefined],
    ['wait=10', 10_000, 'wait=10'],
    ['respond-async, wait=3', 3_000, 'wait=3'],
    ['WAIT="7"; x=1', 7_000, 'wait=7'],
    ['wait=0', 0, 'wait=0'],
    ['wait=9999', 120_000, 'wait=120'],
    ['wait=-1', 25_000, undefined],
    ['wait=soon', 25_000, undefined],
    ['await=10', 25_000, undefined],
  ])('%s', (prefer, ms, applied) => {
    expect(waitOf(prefer).ms).toBe(ms);
    expect(waitOf(prefer).fields['preference-applied']).toBe(applied);
  });
});

describe('what an approval is bound to (threat 24)', () => {
  const request = {
    agent: 'a',
    session: 's' as string | null,
    capability: 'bank:pay',
    method: 'POST',
    origin: 'https://bank.example',
    path: '/v1/payments',
    query: 'a=1',
    fields: new Headers({ 'content-type': 'application/json', 'stripe-version': '2026-01-01' }),
    body: new TextEncoder().encode('{"amount":1}'),
    policyHash: 'p',
  };
  const base = bindingOf(request);

  it.each<[string, Partial<typeof request>]>([
    ['agent', { agent: 'b' }],
    ['session', { session: 't' }],
    ['no session', { session: null }],
    ['capability', { capability: 'bank:other' }],
    ['method', { method: 'PUT' }],
    ['origin', { origin: 'https://bank.example:8443' }],
    ['path', { path: '/v1/payments/' }],
    ['query', { query: 'a=2' }],
    ['what stands in the path moved to the query', { path: '/v1', query: '/payments?a=1' }],
    ['body', { body: new TextEncoder().encode('{"amount":2}') }],
    ['policy', { policyHash: 'q' }],
    ['content type', { fields: new Headers({ 'content-type': 'text/plain', 'stripe-version': '2026-01-01' }) }],
    ['a field less', { fields: new Headers({ 'content-type': 'application/json' }) }],
    ['a field more', { fields: new Headers([...request.fields, ['x-account', 'b']]) }],
  ])('%s', (_, change) => expect(bindingOf({ ...request, ...change })).not.toBe(base));

  it.each([
    'prefer',
    'x-amz-acl',
    'x-amz-copy-source',
    'x-anything',
    'content-encoding',
    'content-language',
    'date-of',
    'my-user-agent',
    'x-request-id-of',
    'x-stripe-client',
    'authority',
  ])('the field %s', (name) => {
    expect(bindingOf({ ...request, fields: new Headers([...request.fields, [name, 'x']]) })).not.toBe(base);
  });

  it('not to what SDKs fill anew on each attempt', () => {
    const fields = new Headers([
      ...request.fields,
      ['user-agent', 'x'],
      ['idempotency-key', 'stripe-node-retry-1'],
      ['x-stainless-retry-count', '1'],
      ['x-stripe-client-telemetry', '{}'],
      ['traceparent', '00-1'],
      ['x-request-id', '1'],
    ]);
    expect(bindingOf({ ...request, fields })).toBe(base);
    expect(boundFields(fields).map(([name]) => name)).toEqual(['content-type', 'stripe-version']);
  });
});
