import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rawRequest } from '../support/raw.ts';
import { shippedPolicy } from '../support/shipped.ts';
import { ALL, expectPassed, expectRefused, policiesFor, rowOf, startWorld, VARS, type World } from './world.ts';

interface Row {
  readonly kind: string;
  readonly contentType: string;
  readonly contentEncoding?: string;
  readonly body: string;
  readonly must: 'allow' | 'deny';
  readonly why: string;
}
const CORPUS = JSON.parse(readFileSync(new URL('../data/body-corpus.json', import.meta.url), 'utf8')) as {
  rows: Row[];
};

let world: World;
let token: string;
beforeAll(async () => {
  world = await startWorld({
    policies: (origin) => ({
      ...policiesFor(origin),
      'loose.yaml': `
service: loose
origin: ${origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities:
  pay: { allow: POST /pay, when: "!has(body.amount) || body.amount <= 5" }
  list: { allow: GET /list, when: "!('limit' in query) || query.limit <= 10" }
`,
      'github.yaml': shippedPolicy('github', { origin }),
      'openai.yaml': shippedPolicy('openai', { origin }),
    }),
    vars: {
      ...VARS,
      GITHUB_TOKEN: 'ghp_githubGITHUBgithub0123456789',
      OPENAI_API_KEY: 'sk-openaiOPENAIopenai0123456789',
    },
  });
  token = await world.token([...ALL, 'loose:pay', 'loose:list', 'github:graphql_read', 'openai:chat']);
}, 120_000);
afterAll(() => world?.stop());
beforeEach(() => world.upstream.forget());

const refund = (body: string, fields: readonly string[] = ['Content-Type: application/json'], target = '/v1/refunds') =>
  world.call('bank', 'POST', target, { token, body, fields });

/** A string's UTF-8 bytes, one character each. */
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('threats 14c, 14d and 15: what a rule cannot read in one way only is refused (data/body-corpus.json)', () => {
  it.each(CORPUS.rows.map((row) => [`${row.kind} ${row.must}: ${row.why}`, row] as const))('%s', async (_, row) => {
    const body = utf8(row.body);
    const fields = [
      ...(row.contentType === '' ? [] : [`Content-Type: ${row.contentType}`]),
      ...(row.contentEncoding === undefined
        ? []
        : [`Content-Encoding: ${row.contentEncoding.replace('-declared-but-plain', '')}`]),
      ...(body === '' ? ['Content-Length: 0'] : []),
    ];
    const response = await refund(body, fields);
    if (row.must === 'allow') {
      await expectPassed(world, response);
      expect(world.upstream.seen[0]?.body().toString('latin1')).toBe(body);
    } else {
      expect(world.upstream.seen).toHaveLength(0);
      expect([400, 403, 413, 415]).toContain(response.status);
      const denied = await rowOf(world, response, 'call.denied');
      expect(['body_refused', 'condition_unmet', 'condition_unevaluable']).toContain(denied.reason);
    }
  });

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('14c: a really %s-coded body is refused, not passed unread', async (coding, code) => {
    const body = code('{"amount":999999}').toString('latin1');
    await expectRefused(
      world,
      await refund(body, ['Content-Type: application/json', `Content-Encoding: ${coding}`]),
      415,
      'body_refused',
    );
  });

  it.each([
    ['a form', 'amount=1&_method=DELETE', 'Content-Type: application/x-www-form-urlencoded'],
    ['a form, escaped', '%5Fmethod=DELETE&amount=1', 'Content-Type: application/x-www-form-urlencoded'],
    ['JSON', '{"amount":1,"_method":"DELETE"}', 'Content-Type: application/json'],
  ])('14: a method override in %s is refused', async (_, body, type) => {
    await expectRefused(world, await refund(body, [type]), 400, 'body_refused');
  });

  it.each(['_method=DELETE', 'a=1&%5Fmethod=DELETE', 'a=1;_METHOD=delete', '_method[]=DELETE', '.method=DELETE'])(
    '14: a method override in the query is refused: %s',
    async (query) => {
      const response = await world.call('bank', 'POST', `/echo/x?${query}`, { token, body: 'x' });
      await expectRefused(world, response, 400, 'query_refused');
    },
  );
});

describe('threat 15: what another reader sees under a name that the rule asked for in vain', () => {
  const FORM = 'application/x-www-form-urlencoded';
  it.each([
    ['a list for the whole body', '[{"amount":9999}]', 'application/json', 'condition_unevaluable'],
    ["Rack's half bracket", 'amount]=9999', FORM, 'body_refused'],
    ['JSON that is a form as well', '{"amount":9999,"x":"&amount=1&y="}', FORM, 'body_refused'],
    ['a charset in pieces', 'amou+AG4-t=9999', `${FORM}; charset*0=utf-; charset*1=7`, 'body_refused'],
    [
      'more fields than are read',
      `${Array.from({ length: 1000 }, (_, i) => `x${i}&`).join('')}amount=1`,
      FORM,
      'body_refused',
    ],
    ['half a pair of surrogates', '{"amount":1,"to":"\\ud800"}', 'application/json', 'body_refused'],
  ])('%s', async (_, body, type, reason) => {
    const response = await world.call('loose', 'POST', '/pay', { token, body, fields: [`Content-Type: ${type}`] });
    await expectRefused(world, response, response.status, reason);
  });

  it('in the address', async () => {
    await expectPassed(world, await world.call('loose', 'GET', '/list?limit=10', { token }));
    world.upstream.forget();
    const response = await world.call('loose', 'GET', '/list?limit]=9999', { token });
    await expectRefused(world, response, 403, 'condition_unevaluable');
  });
});

describe('threat 16: nothing hides behind the inspection limit', () => {
  it.each([16 * 1024, 1024 * 1024 - 100])(
    '%i bytes of padding before the forbidden field are read through',
    async (padding) => {
      const response = await refund(`{"pad":"${'x'.repeat(padding)}","amount":999999}`);
      await expectRefused(world, response, 403, 'condition_unmet');
    },
  );

  it('a body over the bound is refused, with a length or chunked, and never judged by its first part', async () => {
    const body = `{"amount":1,"pad":"${'x'.repeat(1024 * 1024)}","amount":999999}`;
    await expectRefused(world, await refund(body), 413, 'body_refused');
    world.upstream.forget();
    const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    const response = await refund(chunked, ['Content-Type: application/json', 'Transfer-Encoding: chunked']);
    await expectRefused(world, response, 413, 'body_refused');
  });
});

describe('the record of a call whose body a rule has read', () => {
  it('is bound to these very bytes, and says how many they were', async () => {
    const bodies = ['{"amount":1}', '{"amount":2}', '{"amount":1}', '{"amount": 1}'];
    const hashes: (string | null)[] = [];
    for (const body of bodies) {
      const response = await refund(body);
      hashes.push((await rowOf(world, response, 'call.admitted')).request_hash);
      expect(await rowOf(world, response, 'call.completed')).toMatchObject({ request_bytes: body.length });
    }
    expect(hashes[2]).toBe(hashes[0]);
    expect(new Set(hashes).size).toBe(3);
  });
});

describe('a body that does not come whole is never judged', () => {
  const JSON_TYPE = 'Content-Type: application/json';
  it.each([
    ['chunks that are none', [JSON_TYPE, 'Transfer-Encoding: chunked'], '6\r\n{"amou\r\nzz\r\n'],
    ['fewer bytes than announced, and the end of the connection', [JSON_TYPE, 'Content-Length: 12'], '{"amou'],
  ])('%s: refused, recorded, and no bug of ours', async (_, fields, body) => {
    const socket = connect({ port: world.edge.port, host: '127.0.0.1', allowHalfOpen: true });
    const lines = ['Host: edge', `Authorization: Bearer ${token}`, 'Connection: close', ...fields];
    socket.end(rawRequest('POST', '/proxy/bank/v1/refunds', lines, body));
    const text = (await socket.setEncoding('latin1').toArray()).join('');
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"code":"body_refused"');
    expect(world.upstream.seen).toEqual([]);
    const id = /^keywarden-request-id: (\S+)/m.exec(text)?.[1] ?? '';
    expect(await world.edge.audit({ request_id: id })).toEqual([
      expect.objectContaining({ event: 'call.denied', reason: 'body_refused' }),
    ]);
    expect(world.edge.logs()).not.toContain('keywarden: bug');
  });
});

describe('threat 17: GraphQL cannot hide a mutation (the shipped policy)', () => {
  const graphql = (document: unknown, target = '/graphql', type = 'application/json') =>
    world.call('github', 'POST', target, {
      token,
      body: utf8(JSON.stringify(document)),
      fields: [`Content-Type: ${type}`],
    });

  it('a query passes', async () => {
    await expectPassed(world, await graphql({ query: '{ viewer { login } }' }));
  });

  it.each<[string, unknown]>([
    ['a mutation', { query: 'mutation { deleteRef(input: {refId: "x"}) { clientMutationId } }' }],
    [
      'the second of two operations, picked by name',
      {
        query: 'query a { viewer { login } } mutation b { deleteRef(input: {refId: "x"}) { clientMutationId } }',
        operationName: 'b',
      },
    ],
    [
      'behind an alias and @skip',
      {
        query:
          'query a { viewer { login } }\n#\nmutation b { x: deleteRef(input: {refId: "x"}) @skip(if: false) { clientMutationId } }',
      },
    ],
    ['a subscription', { query: 'subscription { x }' }],
    ['a batch', [{ query: '{ viewer { login } }' }, { query: 'mutation { x }' }]],
    ['a persisted query', { extensions: { persistedQuery: { version: 1, sha256Hash: 'a'.repeat(64) } } }],
    ['a document id', { id: 'deleteEverything', query: '{ viewer { login } }' }],
    ['no query', { variables: {} }],
  ])('%s is refused', async (_, document) => {
    const response = await graphql(document);
    expect(response.status).toBe(403);
    expect(world.upstream.seen).toHaveLength(0);
    expect((await rowOf(world, response, 'call.denied')).decision).toBe('deny');
  });

  it('a document in the URL, a GET and another content type are refused', async () => {
    for (const response of [
      await graphql({ query: '{ viewer { login } }' }, '/graphql?query=mutation%7Bx%7D'),
      await world.call('github', 'GET', '/graphql?query=mutation%7Bx%7D', { token }),
      await graphql({ query: '{ viewer { login } }' }, '/graphql', 'text/plain'),
      await graphql({ query: '{ viewer { login } }' }, '/graphql', 'application/graphql'),
    ]) {
      expect([400, 403, 415]).toContain(response.status);
      expect(world.upstream.seen).toHaveLength(0);
      expect((await rowOf(world, response, 'call.denied')).decision).toBe('deny');
    }
  });
});

describe("threat 22: the provider is not sent to fetch addresses of the agent's choice (the shipped policy)", () => {
  const chat = (url: string) => {
    const content = [{ type: 'image_url', image_url: { url } }];
    return world.call('openai', 'POST', '/v1/chat/completions', {
      token,
      body: JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 5, messages: [{ role: 'user', content }] }),
      fields: ['Content-Type: application/json'],
    });
  };

  it('an image in the body passes, an image by address does not', async () => {
    await expectPassed(world, await chat('data:image/png;base64,AAAA'));
    for (const url of [
      'https://evil.example/?q=secret',
      'http://169.254.169.254/',
      ' data:image/png,',
      'DATA:image/png;base64,AAAA',
      '//evil.example/x.png',
    ]) {
      world.upstream.forget();
      const response = await chat(url);
      expect(world.upstream.seen, url).toHaveLength(0);
      expect((await rowOf(world, response, 'call.denied')).decision).toBe('deny');
    }
  });
});
