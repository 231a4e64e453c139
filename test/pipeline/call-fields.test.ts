import { describe, expect, it } from 'vitest';
import type { Denial } from '../../src/denial.ts';
import type { Edge } from '../../src/edge.ts';
import type { Authorized, Call } from '../../src/pipeline/call.ts';
import { callFieldsOf } from '../../src/pipeline/call-fields.ts';

const TOKEN = `eyJhbGciOiJFZERTQSJ9.${'eyJzdWIiOiJhIn0'.repeat(20)}.c2lnbmF0dXJl_-0`;
const edge = { bundle: { hash: 'h' } } as Edge;
const fieldsOf = (
  call: { service?: string; rawPath?: string; query?: string; request?: { method: string } },
  authorized?: object,
) =>
  callFieldsOf({ service: 's', rawPath: '/', query: '', request: { method: 'GET' }, ...call } as Call, edge, {
    ...(authorized === undefined ? {} : { authorized: authorized as Authorized }),
  });

describe('a row of the audit holds no token', () => {
  it.each([
    ['in the path', { rawPath: `/a/${TOKEN}/b` }, { path: '/a/[token]/b' }],
    ['in place of the service', { service: TOKEN }, { service: '[token]' }],
    ['as the name of a parameter', { query: `${TOKEN}&b=1` }, { queryNames: '[token],b' }],
    ['cut off', { rawPath: `/a/${TOKEN.slice(0, 300)}` }, { path: '/a/[token]' }],
    [
      'beyond the length of a row',
      { rawPath: `/${'x'.repeat(300)}/${TOKEN}` },
      { path: `/${'x'.repeat(300)}/[token]` },
    ],
  ])('%s', (_, call, expected) => expect(fieldsOf(call)).toMatchObject(expected));

  it('not even of a call that went through with another one in its path', () => {
    const authorized = { access: { path: `/a/${TOKEN}` }, capability: { name: 's:c' }, requestHash: 'r' };
    expect(fieldsOf({}, authorized)).toMatchObject({ path: '/a/[token]' });
  });

  it('and no more of a path than a row takes, whether the call was refused or went through', () => {
    const long = `/${'x'.repeat(2_000)}`;
    const authorized = { access: { path: long }, capability: { name: 's:c' }, requestHash: 'r' };
    for (const { path } of [fieldsOf({ rawPath: long }), fieldsOf({}, authorized)])
      expect([path?.length, long.startsWith(path ?? '-')]).toEqual([512, true]);
  });

  it('nor more of a method, which is the client’s to choose', () => {
    expect(fieldsOf({ request: { method: 'M'.repeat(300) } }).method).toBe('M'.repeat(32));
  });

  it('however often a text begins like one: a stranger must not hold up the others', () => {
    const long = 'eyJ'.repeat(50_000);
    const begun = performance.now();
    expect(fieldsOf({ service: long, rawPath: `/${long}`, query: long }).service).toBe(long.slice(0, 512));
    expect(performance.now() - begun).toBeLessThan(1_000);
  });

  it('and words as they are', () => {
    expect(fieldsOf({ rawPath: '/eyJ/eyJabc.x/a b', query: 'eyJ=1' })).toMatchObject({
      path: '/eyJ/eyJabc.x/a\\u0020b',
      queryNames: 'eyJ',
    });
  });
});

describe('a refused call is counted for the capability that it asked for', () => {
  it.each<[Denial, string | null]>([
    [{ kind: 'capability_missing', wouldAllow: ['s:one', 's:two'] }, 's:one'],
    [{ kind: 'capability_missing', wouldAllow: [] }, null],
    [{ kind: 'rule_denied', capability: 's:three' }, 's:three'],
    [{ kind: 'operation_unknown' }, null],
  ])('%j', (denial, capability) => {
    const call = { service: 's', rawPath: '/', query: '', request: { method: 'GET' } } as Call;
    expect(callFieldsOf(call, edge, { denial })).toMatchObject({ capability, agent: null, requestHash: null });
  });
});
