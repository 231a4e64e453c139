import { describe, expect, it } from 'vitest';
import type { Principal } from '../../src/capability/principal.ts';
import { fieldsOf } from '../../src/lib/fields.ts';
import { authorize } from '../../src/pipeline/authorize.ts';
import type { Authenticated, Call } from '../../src/pipeline/call.ts';
import { targetOf } from '../../src/pipeline/target.ts';
import type { ServicePolicy } from '../../src/policy/ruled.ts';
import { policyOf as policyOfLines } from '../policy/support.ts';

const policyOf = (capabilities: string): ServicePolicy => policyOfLines(`capabilities: ${capabilities}`);
const policy = policyOf(
  `{ read: { allow: GET /balance }, list: { allow: 'GET /refunds/{id}', when: 'headers["x-kind"] == "good"' } }`,
);

let tokens = 0;
const principal = (...capabilities: string[]): Principal => ({
  agent: 'a',
  session: null,
  tokenId: `token-${tokens++}`,
  issuedAtMs: 0,
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  capabilities: new Set(capabilities),
});

function callOf(line: string, who: Principal, more: { headers?: Record<string, string>; policy?: ServicePolicy } = {}) {
  const [method = '', target = ''] = line.split(' ');
  const [rawPath = '', query = ''] = target.split('?');
  const request = new Request(`http://edge.test/proxy/pay${target}`, { method, headers: more.headers ?? {} });
  const call: Partial<Call> = {
    request,
    env: { KEYWARDEN_ISSUER: 'https://edge.test' } as Call['env'],
    fields: fieldsOf(request.headers),
    startedAt: Date.now(),
    service: 'pay',
    policy: more.policy ?? policy,
    rawPath,
    query,
  };
  return { call, principal: who, token: 'eyJ.the.token' } as unknown as Authenticated;
}
const asked = (...of: Parameters<typeof callOf>) => targetOf(callOf(...of), of[2]?.policy ?? policy);
const reasonOf = async (...of: Parameters<typeof callOf>) => {
  const authorized = await authorize(callOf(...of));
  return authorized.ok ? 'allowed' : authorized.error.kind;
};

describe('a target that was judged before', () => {
  it('is not judged again for the same token', () => {
    const who = principal('pay:read');
    const first = asked('GET /balance', who);
    const again = asked('GET /balance', who);
    expect(first).toMatchObject({ ok: true });
    expect(again.ok && again.value).toBe(first.ok && first.value);
  });

  it.each([
    ['another method', 'HEAD /balance'],
    ['another path', 'GET /balances'],
    ['what stands in the path moved to the query', 'GET /?balance'],
  ])('says nothing of %s', async (_, line) => {
    const who = principal('pay:read');
    expect(await reasonOf('GET /balance', who)).toBe('allowed');
    expect(await reasonOf(line, who)).not.toBe('allowed');
  });

  it('says nothing of another token, even one of the same id', async () => {
    const who = principal('pay:read');
    expect(await reasonOf('GET /balance', who)).toBe('allowed');
    expect(await reasonOf('GET /balance', { ...who, capabilities: new Set() })).toBe('capability_missing');
  });

  it('says nothing of another policy', async () => {
    const who = principal('pay:read');
    expect(await reasonOf('GET /balance', who)).toBe('allowed');
    const stricter = policyOf('{ read: { allow: GET /other, deny: GET /balance } }');
    expect(await reasonOf('GET /balance', who, { policy: stricter })).toBe('rule_denied');
  });

  it('has its conditions judged on every call', async () => {
    const who = principal('pay:list');
    const kind = (value: string) => ({ headers: { 'x-kind': value } });
    expect(await reasonOf('GET /refunds/1', who, kind('good'))).toBe('allowed');
    expect(await reasonOf('GET /refunds/1', who, kind('bad'))).toBe('condition_unmet');
  });

  it('has its fields judged on every call', async () => {
    const who = principal('pay:read');
    expect(await reasonOf('GET /balance', who)).toBe('allowed');
    expect(await reasonOf('GET /balance', who, { headers: { 'x-http-method-override': 'DELETE' } })).toBe(
      'header_refused',
    );
  });

  it('says nothing of another bucket, which stands in the Host field', async () => {
    const credential = { scheme: 'sigv4', accessKeyId: 'ID', secretAccessKey: 'KEY', sessionToken: null } as const;
    const buckets: ServicePolicy = {
      ...policyOf('{ read: { allow: "GET /mine/{key}" } }'),
      credential: { ...credential, region: 'r', service: 's3' },
    };
    const who = principal('pay:read');
    const at = (host: string) => ({ policy: buckets, headers: { host } });
    expect(await reasonOf('GET /key', who, at('mine.edge.test'))).toBe('allowed');
    expect(await reasonOf('GET /key', who, at('other.edge.test'))).toBe('operation_unknown');
    expect(await reasonOf('GET /key', who, at('edge.test'))).toBe('operation_unknown');
  });

  it('is forgotten when there are too many', () => {
    const who = principal('pay:read');
    const first = asked('GET /balance?n=0', who);
    for (let n = 1; n <= 1_000; n++) asked(`GET /balance?n=${n}`, who);
    const again = asked('GET /balance?n=0', who);
    expect(again).toEqual(first);
    expect(again.ok && again.value).not.toBe(first.ok && first.value);
  });

  it('is not remembered when it is long', () => {
    const who = principal('pay:read');
    const line = `GET /balance?n=${'1'.repeat(600)}`;
    const first = asked(line, who);
    const again = asked(line, who);
    expect(again).toEqual(first);
    expect(again.ok && again.value).not.toBe(first.ok && first.value);
  });
});

describe('a target is read in one way', () => {
  it('in which the Host field names a bucket to no service but those that sign for S3', async () => {
    const files = policyOf('{ read: { allow: ["GET /{name}", "GET /mine/{name}"] } }');
    for (const host of ['mine.edge.test', 'mine.localhost:8787']) {
      const target = asked('GET /key', principal('pay:read'), { policy: files, headers: { host } });
      expect(target, host).toMatchObject({ ok: true, value: { access: { path: '/key' } } });
    }
  });

  it('in which %2F is no slash, unless the policy says that it is one to the service', async () => {
    const files = policyOf('{ read: { allow: "GET /files/{name+}" } }');
    const who = principal('pay:read');
    expect(await reasonOf('GET /files/a%2Fb', who, { policy: files })).toBe('path_refused');
    expect(await reasonOf('GET /files/a%2Fb', who, { policy: { ...files, escapedSlash: true } })).toBe('allowed');
  });
});

describe('the token travels no further', () => {
  const credential = { scheme: 'sigv4', accessKeyId: 'ID', secretAccessKey: 'KEY', sessionToken: null } as const;
  const sigv4: ServicePolicy = { ...policy, credential: { ...credential, region: 'r', service: 's3' } };

  it.each([
    ['a parameter', 'a', policy],
    ['the place of a presigned URL, where nothing is signed', 'X-Amz-Security-Token', policy],
    ['one that only looks like it', 'x-amz-meta', sigv4],
  ])('in %s', async (_, name, under) => {
    const who = principal('pay:read');
    expect(await reasonOf(`GET /balance?${name}=eyJ.the.token`, who, { policy: under })).toBe('query_refused');
  });

  it('in one parameter of several', async () => {
    const who = principal('pay:read');
    for (const query of ['a=1&b=eyJ.the.token', 'b=eyJ.the.token&a=1', 'eyJ.the.token&a=1'])
      expect(await reasonOf(`GET /balance?${query}`, who), query).toBe('query_refused');
    expect(await reasonOf('GET /balance?a=1&b=eyJ', who)).toBe('allowed');
  });

  it('in the path, though a rule would allow any', async () => {
    const files = policyOf('{ read: { allow: ["GET /files/{name}", "GET /balance"] } }');
    const who = principal('pay:read');
    expect(await reasonOf('GET /files/eyJ.the.other', who, { policy: files })).toBe('allowed');
    expect(await reasonOf('GET /files/eyJ.the.token', who, { policy: files })).toBe('query_refused');
  });

  it('but stands in a presigned URL, which is signed anew', async () => {
    const who = principal('pay:read');
    expect(await reasonOf('GET /balance?X-Amz-Security-Token=eyJ.the.token', who, { policy: sigv4 })).toBe('allowed');
  });
});
