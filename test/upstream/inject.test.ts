import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CanonicalPath } from '../../src/access.ts';
import type { UnsignableReason } from '../../src/fault.ts';
import { sha256Hex } from '../../src/lib/digest.ts';
import type { CredentialSpec } from '../../src/policy/ruled.ts';
import { Credential, type Credentials } from '../../src/upstream/credential.ts';
import { requestFields } from '../../src/upstream/fields.ts';
import { inject } from '../../src/upstream/inject.ts';
import type { OutgoingRequest } from '../../src/upstream/outgoing.ts';
import { withoutParam } from '../../src/upstream/schemes/query.ts';
import { scrubberOf } from '../../src/upstream/scrub/scrubber.ts';
import { MAX_SIGNED_BODY_BYTES } from '../../src/upstream/sigv4-payload.ts';
import { parseSigV4Scope, presignedScopeOf } from '../../src/upstream/sigv4-scope.ts';

const KEY = "sk_te/st+4eC39'Hq";
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const single: Credentials = { kind: 'single', secret: new Credential(KEY) };
const aws: Credentials = {
  kind: 'aws',
  accessKeyId: new Credential('AKIDEXAMPLE'),
  secretAccessKey: new Credential('wJalrXUtnFEMI/K7MDENG'),
  sessionToken: null,
};
const s3: CredentialSpec = {
  scheme: 'sigv4',
  accessKeyId: 'A',
  secretAccessKey: 'B',
  sessionToken: null,
  region: 'us-east-1',
  service: 's3',
};

const request = (
  more: Partial<Omit<OutgoingRequest, 'path' | 'fields'>> & { path?: string; fields?: Record<string, string> } = {},
): OutgoingRequest => ({
  method: 'GET',
  origin: 'https://api.vendor.test',
  query: '',
  body: null,
  bodyLength: null,
  ...more,
  path: (more.path ?? '/v1/a') as CanonicalPath,
  fields: new Map(Object.entries(more.fields ?? { accept: '*/*' })),
});
const injected = async (
  spec: CredentialSpec,
  credentials: Credentials,
  given: OutgoingRequest,
  scope: { region: string; service: string } | null = null,
) => {
  const done = await inject(spec, credentials, given, { now: NOW, scope });
  if (!done.ok) throw new Error(`${done.error.code}: ${done.error.detail}`);
  return done.value;
};
const refused = async (spec: CredentialSpec, why: UnsignableReason, given: OutgoingRequest) => {
  const done = await inject(spec, aws, given, { now: NOW });
  expect(done).toMatchObject({ ok: false, error: { code: 'request_unsignable', why } });
};
const stream = (...chunks: (string | Uint8Array)[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks)
        controller.enqueue(typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk);
      controller.close();
    },
  });

describe('schemes', () => {
  it('bearer', async () =>
    expect((await injected({ scheme: 'bearer', secret: 'K' }, single, request())).fields.get('authorization')).toBe(
      `Bearer ${KEY}`,
    ));
  it('header, with a prefix', async () => {
    const out = await injected({ scheme: 'header', header: 'X-Auth', secret: 'K', prefix: 'Key ' }, single, request());
    expect(Object.fromEntries(out.fields)).toEqual({ accept: '*/*', 'x-auth': `Key ${KEY}` });
  });
  it('basic, the secret as password or as user name', async () => {
    expect(
      (await injected({ scheme: 'basic', secret: 'K', username: 'me' }, single, request())).fields.get('authorization'),
    ).toBe(`Basic ${Buffer.from(`me:${KEY}`).toString('base64')}`);
    expect(
      (await injected({ scheme: 'basic', secret: 'K', username: null }, single, request())).fields.get('authorization'),
    ).toBe(`Basic ${Buffer.from(`${KEY}:`).toString('base64')}`);
  });
  it('query', async () => {
    expect((await injected({ scheme: 'query', param: 'api_key', secret: 'K' }, single, request())).query).toBe(
      'api_key=sk_te%2Fst%2B4eC39%27Hq',
    );
    expect(
      (await injected({ scheme: 'query', param: 'api_key', secret: 'K' }, single, request({ query: 'b=%2f+&a=&a' })))
        .query,
    ).toBe('b=%2f+&a=&a&api_key=sk_te%2Fst%2B4eC39%27Hq');
    expect(
      (
        await injected(
          { scheme: 'query', param: 'api_key', secret: 'K' },
          single,
          request({ query: 'api_key=mine&b=1&API-key=x&Api%5FKey=mine' }),
        )
      ).query,
    ).toBe('b=1&API-key=x&api_key=sk_te%2Fst%2B4eC39%27Hq');
  });
  it('leaves the given request as it was', async () => {
    const given = request();
    for (const spec of [
      { scheme: 'bearer', secret: 'K' },
      { scheme: 'query', param: 'k', secret: 'K' },
    ] as const)
      await injected(spec, single, given);
    expect([...given.fields]).toEqual([['accept', '*/*']]);
    expect(given.query).toBe('');
  });
  it('refuses credentials that do not fit the scheme', async () => {
    expect(await inject(s3, single, request(), { now: NOW })).toMatchObject({
      ok: false,
      error: { code: 'environment_broken' },
    });
    expect(await inject({ scheme: 'bearer', secret: 'K' }, aws, request(), { now: NOW })).toMatchObject({
      ok: false,
      error: { code: 'environment_broken' },
    });
  });
  it('threat 1: what any scheme sends is what the scrubber finds', async () => {
    for (const spec of [
      { scheme: 'bearer', secret: 'K' },
      { scheme: 'basic', secret: 'K', username: 'me' },
      { scheme: 'basic', secret: 'K', username: null },
    ] as const) {
      const sent = (await injected(spec, single, request())).fields.get('authorization') as string;
      expect(scrubberOf(single).text(`you sent ${sent}`).hits).toBe(1);
    }
    expect(
      scrubberOf(single).text((await injected({ scheme: 'query', param: 'k', secret: 'K' }, single, request())).query)
        .text,
    ).toBe('k=[redacted]');
  });
  it('threat 12: Connection: authorization takes nothing from what is injected', async () => {
    const spec: CredentialSpec = { scheme: 'bearer', secret: 'K' };
    const fields = requestFields(new Headers({ connection: 'authorization', authorization: 'Bearer token' }), {
      credential: spec,
      dropHeaders: [],
      defaultHeaders: {},
      ranges: false,
    });
    if (!fields.ok) throw new Error('refused');
    expect((await injected(spec, single, { ...request(), fields: fields.value })).fields.get('authorization')).toBe(
      `Bearer ${KEY}`,
    );
  });
});

describe('threat 14: the own parameter of the client is taken out of the query, whatever its spelling', () => {
  for (const own of [
    'api_key=x',
    'API_KEY=x',
    'api%5fkey=x',
    '%61pi_key=x',
    'Api%5FKey',
    'api_key[]=x',
    'api_key%5B0%5D=x',
    '+api_key=x',
    '%20api_key%20=x',
    'api_key%00=x',
    'api_key==x',
    'api_key]=x',
    '[api_key]=x',
    '%5Bapi_key%5D[]=x',
    '+[api_key=x',
    'api.key=x',
    'api+key=x',
  ]) {
    it(own, () => {
      expect(withoutParam(own, 'api_key')).toBe('');
      expect(withoutParam(`a=1&${own}&b=%2f`, 'api_key')).toBe('a=1&b=%2f');
      expect(withoutParam(`a=1;${own}&b=2`, 'api_key')).toBe('a=1&b=2');
    });
  }
  it('all else stays byte for byte', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab&=%2+;~?/') }), (query) => {
        expect(withoutParam(query, 'api_key')).toBe(query);
      }),
    );
    expect(withoutParam('my_api_key=1&api_keys=2&x=api_key', 'api_key')).toBe('my_api_key=1&api_keys=2&x=api_key');
  });
});

describe('SigV4', () => {
  it('signs an S3 request, replacing what the client signed itself', async () => {
    const out = await injected(
      s3,
      aws,
      request({
        path: '/bucket/a%20b',
        query: 'list-type=2&X-Amz-Signature=abc&x-amz-credential=evil&prefix=a+b',
        fields: {
          'x-amz-date': '20200101T000000Z',
          'x-amz-security-token': 'client',
          authorization: 'AWS4-HMAC-SHA256 …'.slice(0, 16),
          'user-agent': 'sdk',
        },
      }),
    );
    expect(out.query).toBe('list-type=2&prefix=a%20b');
    expect(out.fields.get('x-amz-date')).toBe('20260102T030405Z');
    expect(out.fields.get('x-amz-security-token')).toBeUndefined();
    expect(out.fields.get('x-amz-content-sha256')).toBe(sha256Hex(''));
    expect(out.fields.get('authorization')).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20260102\/us-east-1\/s3\/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=[0-9a-f]{64}$/,
    );
  });
  it.each([
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-Expires',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
    'X-Amz-Security-Token',
    'x-amz-s3session-token',
    'X-Amz-Content-SHA256',
    'AWSAccessKeyId',
    'Signature',
    'X%2DAmz%2DSignature',
  ])('nothing of a presigned URL goes on: not %s', async (name) => {
    const out = await injected(s3, aws, request({ path: '/bucket/a', query: `prefix=a&${name}=client&acl` }));
    expect(out.query).toBe('prefix=a&acl');
  });
  it('what says which bytes and of what kind is signed, too', async () => {
    const fields = { 'content-md5': 'x', 'content-type': 'text/plain', 'x-amz-acl': 'private', accept: '*/*' };
    const out = await injected(s3, aws, request({ method: 'PUT', path: '/b/a', fields }));
    expect(out.fields.get('authorization')).toContain(
      ' SignedHeaders=content-md5;content-type;host;x-amz-acl;x-amz-content-sha256;x-amz-date,',
    );
  });
  it("nor the client's session, in a field", async () => {
    const out = await injected(s3, aws, request({ fields: { 'x-amz-s3session-token': 'client' } }));
    expect(JSON.stringify([...out.fields])).not.toContain('client');
  });
  it.each([
    ['s3', true],
    ['s3express', true],
    ['s3-object-lambda', true],
    ['s3-outposts', true],
    ['dynamodb', false],
  ])('%s is of the S3 family: %s', async (service, family) => {
    const given = request({ method: 'PUT', path: '/b/a', body: stream('body'), bodyLength: 4 });
    const out = await injected({ ...s3, service }, aws, given);
    expect(out.fields.get('x-amz-content-sha256')).toBe(family ? 'UNSIGNED-PAYLOAD' : undefined);
    const plain = await inject({ ...s3, service }, aws, request({ path: "/b/it's+1" }), { now: NOW });
    expect(plain.ok).toBe(!family);
  });
  it('sends an S3 key and a query in the one form that both decoding and literal verifiers sign', async () => {
    const out = await injected(
      s3,
      aws,
      request({ path: "/bucket/it's(1)*!@a=b:c,d&$~%E2%82%AC", query: "prefix=it's*&delimiter=%2F&acl&x=" }),
    );
    expect(out.path).toBe('/bucket/it%27s%281%29%2A%21%40a%3Db%3Ac%2Cd%26%24~%E2%82%AC');
    expect(out.query).toBe('prefix=it%27s%2A&delimiter=%2F&acl&x=');
    expect(new URL(`${out.origin}${out.path}?${out.query}`).href).toBe(`${out.origin}${out.path}?${out.query}`);
  });
  it('sends a percent sign of an S3 key as it is judged: escaped once', async () => {
    const out = await injected(s3, aws, request({ path: '/bucket/day=1%2000%253A00/100%25' }));
    expect(out.path).toBe('/bucket/day%3D1%2000%253A00/100%25');
  });
  it('what the runtime would write into the URL is what was signed, for any path and query', async () => {
    const segment = fc
      .string({
        unit: fc.constantFrom(..."aZ0-._~!$&'()*,:@=", '%20', '%2B', '%C3%A9', '%5E', '%25'),
        minLength: 1,
        maxLength: 12,
      })
      .filter((s) => s !== '.' && s !== '..');
    const query = fc.string({
      unit: fc.constantFrom(..."abc=&+'(*/?:@!", '%20', '%2B', '%C3%A9', '%27'),
      maxLength: 30,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { maxLength: 4 }),
        query,
        fc.constantFrom('s3', 'dynamodb', 's3express'),
        async (segments, raw, service) => {
          const done = await inject({ ...s3, service }, aws, request({ path: `/${segments.join('/')}`, query: raw }), {
            now: NOW,
          });
          if (!done.ok) return void expect(done.error.code).toBe('request_unsignable');
          const url = done.value.origin + done.value.path + (done.value.query && `?${done.value.query}`);
          expect(new URL(url).href).toBe(url);
          const asked = new URL(`http://x/?${raw}`).searchParams;
          expect([...new URL(url).searchParams]).toEqual([...asked]);
        },
      ),
      { numRuns: 200 },
    );
  });
  for (const [what, [why, given]] of Object.entries<[UnsignableReason, OutgoingRequest]>({
    'a bare + in a key': ['path', request({ path: '/b/a+b' })],
    'a parameter twice': ['query', request({ query: 'prefix=a&prefix=b' })],
    'a parameter twice, once escaped': ['query', request({ query: 'prefix=a&pre%66ix=b' })],
    'a broken escape': ['query', request({ query: 'prefix=%zz' })],
    'text that is no UTF-8': ['query', request({ query: 'prefix=%ff' })],
    'a value without a name': ['query', request({ query: '=x' })],
    'an unknown payload mode': [
      'body_digest',
      request({
        method: 'PUT',
        body: stream('x'),
        fields: { 'x-amz-content-sha256': 'NONE' },
      }),
    ],
    'an unknown streaming mode': [
      'body_coding',
      request({
        method: 'PUT',
        body: stream('x'),
        fields: { 'x-amz-content-sha256': 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD' },
      }),
    ],
    'aws-chunked without a mode': [
      'body_coding',
      request({
        method: 'PUT',
        body: stream('x'),
        fields: { 'content-encoding': 'aws-chunked' },
      }),
    ],
  })) {
    it(`refuses ${what}`, () => refused(s3, why, given));
  }
  it('a stream to S3 is unsigned, or carries the digest that the client made', async () => {
    const digest = sha256Hex('body');
    expect(
      (await injected(s3, aws, request({ method: 'PUT', body: stream('body'), bodyLength: 4 }))).fields.get(
        'x-amz-content-sha256',
      ),
    ).toBe('UNSIGNED-PAYLOAD');
    expect(
      (
        await injected(
          s3,
          aws,
          request({ method: 'PUT', body: stream('body'), fields: { 'x-amz-content-sha256': digest } }),
        )
      ).fields.get('x-amz-content-sha256'),
    ).toBe(digest);
    const bytes = request({
      method: 'PUT',
      body: new TextEncoder().encode('body'),
      fields: { 'x-amz-content-sha256': sha256Hex('other') },
    });
    expect((await injected(s3, aws, bytes)).fields.get('x-amz-content-sha256')).toBe(digest);
  });
  it('for another service a stream is gathered, within a bound', async () => {
    const dynamo: CredentialSpec = { ...s3, service: 'dynamodb' };
    const streamed = await injected(dynamo, aws, request({ method: 'POST', body: stream('bo', 'dy') }));
    const whole = await injected(dynamo, aws, request({ method: 'POST', body: new TextEncoder().encode('body') }));
    expect(streamed.fields.get('authorization')).toBe(whole.fields.get('authorization'));
    expect(streamed.fields.has('x-amz-content-sha256')).toBe(false);
    expect(streamed.bodyLength).toBe(4);
    const most = await injected(
      dynamo,
      aws,
      request({ method: 'POST', body: stream(new Uint8Array(MAX_SIGNED_BODY_BYTES - 1), 'x') }),
    );
    expect(most.bodyLength).toBe(MAX_SIGNED_BODY_BYTES);
    await refused(
      dynamo,
      'body_length',
      request({ method: 'POST', body: stream(new Uint8Array(MAX_SIGNED_BODY_BYTES), 'x') }),
    );
  });
  it('a session token is sent and signed', async () => {
    const out = await injected(s3, { ...aws, sessionToken: new Credential('session-token') }, request());
    expect(out.fields.get('x-amz-security-token')).toBe('session-token');
    expect(out.fields.get('authorization')).toContain(
      'SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,',
    );
  });
  it('takes region and service from the client only where the policy leaves them open', async () => {
    const open: CredentialSpec = { ...s3, region: null, service: null };
    expect(
      (await injected(open, aws, request(), { region: 'eu-west-1', service: 's3' })).fields.get('authorization'),
    ).toContain('/eu-west-1/s3/');
    expect(
      (await injected(s3, aws, request(), { region: 'eu-west-1', service: 'sts' })).fields.get('authorization'),
    ).toContain('/us-east-1/s3/');
    await refused(open, 'scope', request());
  });
  const chunked = (body: OutgoingRequest['body'], decoded: string, more: Record<string, string> = {}) =>
    request({
      method: 'PUT',
      body,
      bodyLength: 60,
      fields: {
        'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        'x-amz-decoded-content-length': decoded,
        'content-encoding': 'aws-chunked',
        ...more,
      },
    });
  const CODED = '4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n';
  it('of a gathered aws-chunked stream it says what is malformed, and not that the client went away', async () => {
    await refused({ ...s3, service: 'dynamodb' }, 'body_malformed', chunked(stream('4\r\nabcd\r\n', 'canary'), '6'));
  });
  it('decodes an aws-chunked upload that was read for a rule, and takes its coding away', async () => {
    const out = await injected(s3, aws, chunked(new TextEncoder().encode(CODED), '6'));
    expect(new TextDecoder().decode(out.body as Uint8Array)).toBe('abcdef');
    expect([out.bodyLength, out.fields.has('content-encoding')]).toEqual([6, false]);
    expect(out.fields.get('x-amz-content-sha256')).toBe(sha256Hex('abcdef'));
  });
  it('an empty object is sent after the last byte of its coded body, and not when that is malformed', async () => {
    const out = await injected(s3, aws, chunked(stream('0\r\n', '\r\n'), '0'));
    expect((out.body as Uint8Array).byteLength).toBe(0);
    await refused(s3, 'body_malformed', chunked(stream('0\r\n', 'x'), '0'));
    await refused(s3, 'body_malformed', chunked(stream('0\r\n'), '0'));
  });
  it.each([
    ['longer than it says', new TextEncoder().encode(CODED), '5', 'body_malformed'],
    ['shorter than it says', new TextEncoder().encode(CODED), '7', 'body_malformed'],
    ['without its length', new TextEncoder().encode(CODED), '', 'body_coding'],
    ['with a length that is none', new TextEncoder().encode(CODED), '6.0', 'body_coding'],
    ['that is announced and not there', null, '6', 'body_coding'],
  ] as const)('refuses an aws-chunked body %s', (_, body, length, why) => refused(s3, why, chunked(body, length)));
  it('a stream that turns out malformed errors, and is told as what it is', async () => {
    const out = await injected(s3, aws, chunked(stream('4\r\nabcd\r\n', 'x\r\n'), '6'));
    expect(out.bodyFault?.()).toBeNull();
    await expect(new Response(out.body as ReadableStream).text()).rejects.toThrow();
    expect(out.bodyFault?.()).toMatchObject({ code: 'request_unsignable', why: 'body_malformed' });
  });
  it('decodes an aws-chunked upload and says the length of what is in it', async () => {
    const out = await injected(
      s3,
      aws,
      request({
        method: 'PUT',
        body: stream('4\r\nab', 'cd\r\n2\r\nef\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n'),
        bodyLength: 60,
        fields: {
          'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
          'x-amz-decoded-content-length': '6',
          'x-amz-trailer': 'x-amz-checksum-crc32',
          'content-encoding': 'aws-chunked, gzip',
          'x-amz-sdk-checksum-algorithm': 'CRC32',
          'x-amz-meta-a': '1',
        },
      }),
    );
    expect(await new Response(out.body as ReadableStream).text()).toBe('abcdef');
    expect(out.bodyLength).toBe(6);
    expect(out.fields.get('content-encoding')).toBe('gzip');
    for (const name of ['x-amz-trailer', 'x-amz-decoded-content-length', 'x-amz-sdk-checksum-algorithm'])
      expect(out.fields.has(name)).toBe(false);
    expect(out.fields.get('x-amz-content-sha256')).toBe('UNSIGNED-PAYLOAD');
    expect(out.fields.get('authorization')).toContain('x-amz-meta-a');
  });
});

describe('the scope that a client signed for', () => {
  const field = (scope: string) =>
    `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host;x-amz-date, Signature=${'a'.repeat(64)}`;
  it('is read from a presigned URL, when it stands there once and whole', () => {
    const presigned = 'X-Amz-Credential=A%2F20260102%2Fus-east-1%2Fs3%2Faws4_request';
    expect(presignedScopeOf(`a=1&${presigned}&X-Amz-Signature=00`)).toEqual({ region: 'us-east-1', service: 's3' });
    expect(presignedScopeOf(`${presigned}&${presigned}`)).toBeNull();
    expect(presignedScopeOf('X-Amz-Credential=A%2F20260102%2Fus-east-1%2Fs3')).toBeNull();
    expect(presignedScopeOf('')).toBeNull();
  });

  it('is read', () => {
    expect(parseSigV4Scope(field('eyJ.eyJ.sig_-/20260102/us-east-1/s3/aws4_request'))).toEqual({
      region: 'us-east-1',
      service: 's3',
    });
    expect(parseSigV4Scope(field('A/20260102/auto/s3/aws4_request').replaceAll(', ', ','))).toEqual({
      region: 'auto',
      service: 's3',
    });
  });
  for (const bad of [
    null,
    '',
    'Bearer x',
    field('A/20260102/us-east-1/s3/aws5_request'),
    field('A/2026010/us-east-1/s3/aws4_request'),
    field('A/20260102/US/s3/aws4_request'),
    field('A/20260102/us-east-1/aws4_request'),
    field('A/20260102/us east/s3/aws4_request'),
    field('A/x/20260102/us-east-1/s3/aws4_request'),
    field('A/20260102/us-east-1/s3/aws4_request').replace('HMAC-SHA256', 'ECDSA-P256-SHA256'),
    `${field('A/20260102/us-east-1/s3/aws4_request')}0`,
  ]) {
    it(`is not read from ${bad?.slice(0, 80)}`, () => expect(parseSigV4Scope(bad)).toBeNull());
  }
});
