import { describe, expect, it } from 'vitest';
import {
  judgedFields,
  MAX_REQUEST_FIELD_BYTES,
  MAX_REQUEST_FIELDS,
  type RequestFieldOptions,
  type ResponseFieldOptions,
  requestFields,
  responseFields,
} from '../../src/upstream/fields.ts';

const options: RequestFieldOptions = {
  credential: { scheme: 'header', header: 'X-Vendor-Pass', secret: 'VENDOR', prefix: '' },
  dropHeaders: ['x-own'],
  defaultHeaders: { 'vendor-version': '1' },
  ranges: false,
};
const pass = (fields: Record<string, string>, more: Partial<RequestFieldOptions> = {}) => {
  const passed = requestFields(new Headers(fields), { ...options, ...more });
  return passed.ok ? Object.fromEntries(passed.value) : passed.error;
};
const ALWAYS = { 'accept-encoding': 'identity', 'vendor-version': '1' };

describe('request fields that pass', () => {
  for (const [name, value] of Object.entries({
    accept: 'application/json',
    'content-type': 'application/json',
    'idempotency-key': 'abc',
    'user-agent': 'stripe-node',
    'if-none-match': '"x"',
    'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
    'x-amz-copy-source': '/b/k',
    'anthropic-version': '2023-06-01',
    'x-stainless-lang': 'js',
    'stripe-account': 'acct_1',
    'git-protocol': 'version=2',
    'x-github-api-version': '2022-11-28',
    'x-request-id': '1',
    'content-encoding': 'gzip',
    'x-amz-bucket-object-lock-token': 'x',
    'x-amz-server-side-encryption-customer-key-md5': 'x',
    'x-amz-meta-made_by': 'x',
    'x-goog-meta-made_by': 'x',
    'x-amz-meta-api-key': 'a name of the user',
    'x-ms-meta-token': 'x',
    prefer: 'return=minimal',
    'openai-organization': 'org',
  })) {
    it(name, () => expect(pass({ [name]: value })).toEqual({ ...ALWAYS, [name]: value }));
  }
  it('the policy sets a default only where the client said nothing', () => {
    expect(pass({ 'vendor-version': '2' })).toEqual({ ...ALWAYS, 'vendor-version': '2' });
  });
  it('a name with an underscore, when the policy sets it', () => {
    expect(pass({ app_id: '2', app_ic: '3' }, { defaultHeaders: { app_id: '1' } })).toEqual({
      'accept-encoding': 'identity',
      app_id: '2',
    });
  });
  it.each(['edge.test', 'my_edge.test:8787', '127.0.0.1:8787', '[::1]:8787', 'EDGE.test.', ''])(
    'to the host %s',
    (host) => expect(pass({ host })).toEqual(ALWAYS),
  );
  it('Prefer loses wait alone', () => {
    expect(pass({ prefer: 'wait=30' })).toEqual(ALWAYS);
    expect(pass({ prefer: 'respond-async, Wait = 30 , return=minimal, wait-for=it, wait;x' })).toEqual({
      ...ALWAYS,
      prefer: 'respond-async, return=minimal, wait-for=it',
    });
  });
  it('Prefer keeps wait at a service where nobody is asked, but never the token', () => {
    const nobody = { capabilities: [{ approval: null }, { approval: null }] };
    expect(pass({ prefer: 'wait=60, return=minimal' }, nobody)).toEqual({
      ...ALWAYS,
      prefer: 'wait=60, return=minimal',
    });
    expect(pass({ prefer: 'wait=60, x=eyJ.T' }, { ...nobody, token: 'eyJ.T' })).toEqual(ALWAYS);
    expect(pass({ prefer: 'wait=60' }, { capabilities: [{ approval: null }, { approval: {} }] })).toEqual(ALWAYS);
  });
  it('ranges pass when the policy allows them', () => {
    expect(pass({ range: 'bytes=0-1', 'if-range': '"x"' }, { ranges: true })).toEqual({
      ...ALWAYS,
      range: 'bytes=0-1',
      'if-range': '"x"',
    });
  });
});

describe('request fields that are dropped', () => {
  const rows: Record<string, string[]> = {
    'threat 14: every place of a credential': [
      'authorization',
      'x-api-key',
      'api-key',
      'apikey',
      'x-goog-api-key',
      'x-amz-security-token',
      'x-auth-token',
      'private-token',
      'job-token',
      'x-vault-token',
      'x-shopify-access-token',
      'dd-api-key',
      'dd-application-key',
      'ocp-apim-subscription-key',
      'x-vendor-pass',
      'cookie',
      'x-figma-token',
      'x-auth-key',
      'x-amz-s3session-token',
      'x-access-token',
      'x_api_key',
      'dpop',
      'x-user-token',
      'x-password',
      'token',
      'x-token',
      'x-key',
      'authentication',
      'x-authorization',
      'x-authentication',
      'key',
      'x-pat',
      'x-amz-access-token',
      'x-goog-iam-authorization-token',
      'x-goog-authenticated-user-email',
      'x-auth-email',
      'x-auth-user',
      'x-ms-authorization-auxiliary',
      'x-client-cert',
      'ssl-client-cert',
      'client-cert',
      'client-cert-chain',
      'x-app-token',
      'x-application-secret',
      'x-subscription-key',
      'x-public-key',
      'x-deploy-token',
      'x-personal-token',
      'x-bearer-token',
      'x-id-token',
      'x-session-token',
      'x-refresh-token',
      'x-github-token',
      'x-gitlab-token',
      'x-goog-token',
      'x-service-key',
      'x-apikey',
      'x-api-secret',
      'x-passwd',
      'x-secret',
      'x-credential',
      'x-credentials',
      'x-jwt',
      'x-csrf-token',
      'my-x-amz-meta-api-key',
    ],
    'threat 14: names that CGI takes for others': [
      'X_HTTP_Method_Override',
      'x_forwarded_for',
      'x_original_url',
      'x_own',
      'x_vendor_pass',
      'stripe_account',
      'content_type',
      'x-http_method-override',
      'x.http.method.override',
      'x-http~method-override',
      'x-forwarded!for',
      'stripe.account',
      "x'key",
    ],
    'httpoxy (CVE-2016-5385)': ['proxy'],
    'threat 8: every way to choose another host': [
      'x-portkey-custom-host',
      'base-url-override',
      'x-forwarded-host',
      'x-original-url',
      'x-rewrite-url',
      'x-host',
      'x-litellm-api-base',
      'x-base-url',
      'x-original-host',
      'helicone-target-url',
      'x-http-host-override',
      'x-host-override',
      'x-backend-host',
      'x-backend',
      'x-upstream',
      'x-server-name',
      'x-original-uri',
      'x-rewrite-uri',
      'x-override-url',
      'x-target-url',
      'x-proxy-url',
      'base-url',
      'destination-url',
      'x-api-base',
      'api-base',
      'x-any-upstream-url',
    ],
    'threat 12: hop-by-hop and the way to us': [
      'te',
      'trailer',
      'keep-alive',
      'proxy-connection',
      'proxy-authorization',
      'forwarded',
      'via',
      'x-forwarded-for',
      'x-real-ip',
      'true-client-ip',
      'cf-connecting-ip',
      'cf-worker',
      'cf-ray',
      'cdn-loop',
      'x-keywarden-session',
      'x-forwarded-x-amz-meta-host',
      'max-forwards',
      'keywarden-request-id',
      'x-envoy-original-path',
      'proxy-authenticate',
      'proxy-authentication-info',
      'proxy-features',
      'http2-settings',
      'early-data',
      'cookie2',
      'x-forwarded',
      'x-forwarded-proto',
      'x-client-ip',
      'client-ip',
      'x-cluster-client-ip',
      'fastly-client-ip',
      'x-original-forwarded-for',
      'x-remote-ip',
      'x-remote-addr',
      'x-remote-user',
      'remote-user',
    ],
    'threat 2: ways to have an echo written otherwise': ['accept-charset', 'a-im'],
    'threat 1: ranges': ['range', 'if-range', 'x-ms-range', 'x-amz-range', 'request-range'],
    'what the policy names': ['x-own'],
  };
  for (const [what, names] of Object.entries(rows)) {
    for (const name of names)
      it(`${what}: ${name}`, () => expect(pass({ [name]: 'x', accept: '*/*' })).toEqual({ ...ALWAYS, accept: '*/*' }));
  }
  it('threat 29: any field that holds the capability token, whatever its name', () => {
    const token = 'eyJhbGciOiJFZERTQSJ9.e30.c2ln';
    expect(pass({ 'x-note': token, 'x-more': `a ${token} b`, 'x-other': 'eyJ' }, { token })).toEqual({
      ...ALWAYS,
      'x-other': 'eyJ',
    });
  });
  it('threat 12: what Connection names, and nothing is left of it for what is injected later', () => {
    expect(pass({ connection: 'close, X-One ,authorization', 'x-one': '1', 'x-two': '2' })).toEqual({
      ...ALWAYS,
      'x-two': '2',
    });
  });
  it('threat 12: Connection does not take away the default of the policy nor what we set', () => {
    expect(pass({ connection: 'vendor-version, accept-encoding', 'vendor-version': '9' })).toEqual(ALWAYS);
  });
  it('the length, the expectation that the edge has met, and the codings that the client can read', () => {
    expect(
      pass({ 'content-length': '12', expect: '100-continue', 'accept-encoding': 'zstd, br', host: 'x.test' }),
    ).toEqual(ALWAYS);
  });
});

describe('threats 8, 13, 14: request fields that are refused', () => {
  for (const [name, value] of [
    ['x-http-method-override', 'DELETE'],
    ['X-Method-Override', 'DELETE'],
    ['x-http-method', 'PUT'],
    ['http-method-override', 'PUT'],
    ['x-original-method', 'PUT'],
    ['x-forwarded-method', 'PUT'],
    ['upgrade', 'websocket'],
    ['upgrade', 'h2c'],
    ['host', 'edge.test/proxy/other?'],
    ['host', 'evil@edge.test'],
    ['host', 'edge.test#x'],
    ['host', 'edge.test:80:90'],
    ['host', 'edge test'],
    ['sec-websocket-key', 'x'],
    ['expect', '200-ok'],
    ['expect', '100-continue, 200-ok'],
    ['transfer-encoding', 'xchunked'],
    ['transfer-encoding', 'gzip, chunked'],
    ['content-length', '1, 1'],
    ['content-length', '+1'],
    ['content-length', '1'.repeat(16)],
    ['x-note', 'caf\u00e9'],
    ['x-note', 'a\u0001b'],
    ['x-note', 'a\u007fb'],
  ] as const) {
    it(`${name}: ${JSON.stringify(value)}`, () => {
      const denial = pass({ [name]: value });
      expect(denial).toMatchObject({ kind: 'header_refused' });
      expect(JSON.stringify(denial)).not.toContain(value);
    });
  }
  it('threat 13: a length together with a transfer coding', () => {
    expect(pass({ 'content-length': '1', 'transfer-encoding': 'chunked' })).toMatchObject({ kind: 'header_refused' });
  });
  it('threat 13: a length that is none at all', () => {
    expect(pass({ 'content-length': '' })).toMatchObject({ kind: 'header_refused', header: 'content-length' });
  });
  it('threat 13: two Host fields, which the runtime joins, are told as that', () => {
    expect(pass({ host: 'edge.test, evil.test' })).toEqual({
      kind: 'header_refused',
      header: 'host',
      why: 'it comes twice',
    });
  });
  it('too many and too large, and not one less', () => {
    const many = (length: number) => Object.fromEntries(Array.from({ length }, (_, i) => [`x-${i}`, '1']));
    expect(pass(many(MAX_REQUEST_FIELDS + 1))).toMatchObject({ header: '*' });
    expect(pass(many(MAX_REQUEST_FIELDS))).toEqual({ ...many(MAX_REQUEST_FIELDS), ...ALWAYS });
    const large = (bytes: number) => ({ 'x-large': 'a'.repeat(bytes - 'x-large'.length) });
    expect(pass(large(MAX_REQUEST_FIELD_BYTES + 1))).toMatchObject({ header: '*' });
    expect(pass(large(MAX_REQUEST_FIELD_BYTES))).toEqual({ ...large(MAX_REQUEST_FIELD_BYTES), ...ALWAYS });
  });
});

const answer: ResponseFieldOptions = {
  status: 200,
  cache: false,
  ranges: false,
  decoded: false,
  keepLength: true,
  service: 'vendor',
  origin: 'https://api.vendor.test',
  upstreamUrl: 'https://api.vendor.test/v1/a',
  publicBase: 'http://127.0.0.1:8787',
  redirects: [],
};
const answered = (fields: Record<string, string>, more: Partial<ResponseFieldOptions> = {}) => {
  const passed = responseFields(new Headers(fields), { ...answer, ...more });
  return passed.ok ? Object.fromEntries(passed.value) : passed.error;
};
const SET = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; sandbox",
  'x-content-type-options': 'nosniff',
};

describe('response fields', () => {
  for (const name of [
    'set-cookie',
    'www-authenticate',
    'authentication-info',
    'proxy-authenticate',
    'proxy-status',
    'alt-svc',
    'strict-transport-security',
    'clear-site-data',
    'cf-ray',
    'cf-cache-status',
    'nel',
    'report-to',
    'connection',
    'transfer-encoding',
    'trailer',
    'upgrade',
    'refresh',
    'access-control-allow-origin',
    'x-accel-redirect',
    'via',
    'set-cookie2',
    'authentication-control',
    'optional-www-authenticate',
    'alt-used',
    'public-key-pins',
    'expect-ct',
    'reporting-endpoints',
    'content-security-policy-report-only',
    'service-worker-allowed',
    'x-sendfile',
    'cdn-cache-control',
    'cloudflare-cdn-cache-control',
    'surrogate-control',
    'access-control-allow-credentials',
    'x-accel-buffering',
    'sec-websocket-accept',
    'x-keywarden-base',
    'keywarden-request-id',
    'proxy-authentication-info',
    'proxy-connection',
    'keep-alive',
    'te',
    'http2-settings',
  ]) {
    it(`threats 12, 35: ${name} is dropped`, () =>
      expect(answered({ [name]: 'x', 'content-type': 'text/plain' })).toEqual({
        ...SET,
        'content-type': 'text/plain',
      }));
  }
  it('what Connection names is dropped', () => {
    expect(answered({ connection: 'x-one', 'x-one': '1', 'x-two': '2' })).toEqual({ ...SET, 'x-two': '2' });
  });
  it('what the client needs stays', () => {
    const kept = {
      etag: '"x"',
      'content-length': '3',
      'content-type': 'application/json',
      'retry-after': '1',
      'x-request-id': 'r',
      'x-ratelimit-remaining': '4',
      'content-md5': 'x',
      vary: 'accept',
    };
    expect(answered(kept)).toEqual({ ...SET, ...kept });
  });
  it('a decoded body loses what was said of the coded one, and keeps its ETag', () => {
    const coded = {
      'content-encoding': 'gzip',
      'content-length': '3',
      'content-md5': 'x',
      digest: 'x',
      'content-digest': 'x',
      'repr-digest': 'x',
      etag: '"x"',
    };
    expect(answered(coded, { decoded: true })).toEqual({ ...SET, etag: '"x"' });
  });
  it('a scrubbed stream loses its length unless it is kept', () => {
    expect(answered({ 'content-length': '3' }, { keepLength: false })).toEqual(SET);
  });
  it('threat 1: ranges are offered only when the policy lets them through', () => {
    expect(answered({ 'accept-ranges': 'bytes' })).toEqual({ ...SET, 'accept-ranges': 'none' });
    expect(answered({ 'accept-ranges': 'bytes' }, { ranges: true })).toEqual({ ...SET, 'accept-ranges': 'bytes' });
    expect(answered({})).toEqual(SET);
  });
  it('threat 20: nothing is stored, unless the policy says so, and then by no shared cache', () => {
    const cached = {
      'cache-control': 'public, max-age=60, s-maxage=600',
      expires: 'x',
      age: '1',
      pragma: 'x',
      'cdn-cache-control': 'max-age=9',
    };
    expect(answered(cached)).toEqual(SET);
    expect(answered(cached, { cache: true })).toMatchObject({ 'cache-control': 'private, max-age=60', expires: 'x' });
    expect(answered(cached, { cache: true })).not.toHaveProperty('cdn-cache-control');
    expect(answered({ expires: 'x' }, { cache: true })).toEqual(SET);
    const quoted = { 'cache-control': 'private="set-cookie, x-a", no-cache="a,b", max-age=1, ext="un' };
    expect(answered(quoted, { cache: true })).toMatchObject({
      'cache-control': 'private, no-cache="a,b", max-age=1, ext=, un',
    });
  });
  it('threat 6: a redirect to the service comes back to us, another is a fault, and on a 201, 304 or 400 it is only dropped', () => {
    for (const location of ['/v1/b', 'https://api.vendor.test/v1/b'])
      expect(answered({ location }, { status: 302 })).toEqual({
        ...SET,
        location: 'http://127.0.0.1:8787/proxy/vendor/v1/b',
      });
    for (const status of [300, 301, 302, 303, 307, 308]) {
      expect(answered({ location: 'https://evil.test/' }, { status })).toMatchObject({
        code: 'upstream_redirect_refused',
      });
    }
    for (const status of [201, 304, 400]) expect(answered({ location: 'https://evil.test/' }, { status })).toEqual(SET);
  });
  it('pages of a list lead through the proxy', () => {
    expect(
      answered({ link: '<https://api.vendor.test/v1/a?page=2>; rel="next"', 'content-location': '/v1/a' }),
    ).toEqual({
      ...SET,
      link: '<http://127.0.0.1:8787/proxy/vendor/v1/a?page=2>; rel="next"',
      'content-location': 'http://127.0.0.1:8787/proxy/vendor/v1/a',
    });
  });
  it.each(['x-goog-upload-url', 'operation-location', 'azure-asyncoperation', 'x-next'])(
    'an address of the service in %s leads through the proxy, any other stays',
    (name) => {
      const ours = 'http://127.0.0.1:8787/proxy/vendor';
      for (const [theirs, clients] of [
        ['https://api.vendor.test/up?upload_id=1', `${ours}/up?upload_id=1`],
        ['https://api.vendor.test', `${ours}/`],
        ['https://api.vendor.test:443/up', `${ours}/up`],
        ['https://api.vendor.test.evil.test/up', null],
        ['https://api.vendor.test:8443/up', null],
        ['https://api.vendor.test@evil.test/up', null],
        ['https://api.vendor.test/a, https://api.vendor.test/b', null],
        ['https://other.test/up', null],
        ['see https://api.vendor.test/up', null],
      ] as const)
        expect(answered({ [name]: theirs }), theirs).toEqual({ ...SET, [name]: clients ?? theirs });
    },
  );
  it('UTF-8 in a reference is percent-encoded, and beside it stays as it came', () => {
    const link = '</v1/é>; rel="next"; title="é", <https://other.test/é>; rel="help"';
    expect(answered({ link, location: '/v1/é' }, { status: 302 })).toEqual({
      ...SET,
      link: '<http://127.0.0.1:8787/proxy/vendor/v1/%C3%A9>; rel="next"; title="é", <https://other.test/é>; rel="help"',
      location: 'http://127.0.0.1:8787/proxy/vendor/v1/%C3%A9',
    });
  });
});

describe('request fields that are judged', () => {
  const judged = (fields: Record<string, string>) =>
    Object.fromEntries(judgedFields(new Map(Object.entries(fields)), 'T0KEN'));

  it('are all, whatever the connection itself wants', () => {
    const fields = { connection: 'close', 'content-type': 'application/json', 'x-mode': 'safe', te: 'trailers' };
    expect(judged(fields)).toEqual(fields);
  });

  it('but those that Connection names, in any case and place, and those that hold the token', () => {
    const fields = {
      connection: 'Keep-Alive ,X-Mode,\tcontent-type',
      'content-type': 'a/b',
      'x-mode': 'safe',
      'x-note': 'a T0KEN',
    };
    expect(judged(fields)).toEqual({ connection: fields.connection });
  });

  it('and of what never travels all, so that a rule can ask for it', () => {
    const fields = {
      connection: 'x-api-key, content-length',
      'x-api-key': 'T0KEN',
      authorization: 'Bearer T0KEN',
      'content-length': '9',
    };
    expect(judged(fields)).toEqual(fields);
  });
});
