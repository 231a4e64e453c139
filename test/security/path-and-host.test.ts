import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { compilePolicies } from '../../src/policy/compile.ts';
import { type RawResponse, rawRequest, sendRaw } from '../support/raw.ts';
import { echo } from '../support/upstream.ts';
import { ALL, expectPassed, expectRefused, rowOf, startWorld, type World } from './world.ts';

interface Row {
  readonly path: string;
  readonly must: 'allow' | 'deny';
  readonly wire?: string;
  readonly why: string;
}
const CORPUS = JSON.parse(readFileSync(new URL('../data/path-corpus.json', import.meta.url), 'utf8')) as {
  rows: Row[];
};

let world: World;
let token: string;
beforeAll(async () => {
  world = await startWorld();
  token = await world.token(ALL);
}, 120_000);
afterAll(() => world?.stop());
beforeEach(() => world.upstream.forget());

/** One character, one byte on the wire: as UTF-8. */
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

describe('threat 7: one canonical path, or none (data/path-corpus.json)', () => {
  it.each(CORPUS.rows.map((row) => [row.path.slice(0, 60), row] as const))('%s', async (_, row) => {
    const response = await world.call('bank', 'GET', bytes(row.path), { token });
    if (row.must === 'allow') {
      await expectPassed(world, response);
      expect(world.upstream.seen[0]?.target).toBe(row.wire);
      const { path } = await rowOf(world, response, 'call.admitted');
      expect(path).toBe(row.wire?.replace(/\?.*$/, ''));
      return;
    }
    expect(world.upstream.seen, row.why).toHaveLength(0);
    expect([400, 403], row.why).toContain(response.status);
    // What HTTP's own grammar forbids on a request line the server refuses before the Worker, and its row with it.
    if (response.headers['keywarden-request-id'] === undefined) expect(response.status).toBe(400);
    else expect((await rowOf(world, response, 'call.denied')).decision).toBe('deny');
  });

  it('no path at all is the path "/", as HTTP has it: the same rule judges both, and the upstream sees one', async () => {
    const rooted = await world.token(['bank:root']);
    for (const path of ['', '/']) {
      world.upstream.forget();
      await expectPassed(world, await world.call('bank', 'GET', path, { token: rooted }));
      expect(world.upstream.seen[0]?.target).toBe('/');
      world.upstream.forget();
      await expectRefused(world, await world.call('bank', 'GET', path, { token }), 403, 'capability_missing');
    }
  });

  it('a service segment in any other spelling is no service', async () => {
    for (const segment of [
      'BANK',
      'ban%6B',
      'bank;x=1',
      'bank.',
      './bank',
      'x/../bank',
      '%2e%2e/bank',
      'bank%00',
      'bank%2f',
    ]) {
      world.upstream.forget();
      const response = await world.call(segment, 'GET', '/v1/balance', { token });
      expect(world.upstream.seen, segment).toHaveLength(0);
      expect([400, 403, 404], segment).toContain(response.status);
    }
  });

  it('a query is kept byte for byte, or refused', async () => {
    for (const query of ['a=1&a=2&b', 'q=%2e%2e%2f', 'x=a+b%20c', 'redirect=//evil.example/', 'a[]=1&a[]=2']) {
      world.upstream.forget();
      await world.call('bank', 'GET', `/v1/balance?${query}`, { token });
      expect(world.upstream.seen[0]?.target).toBe(`/v1/balance?${query}`);
    }
    world.upstream.forget();
    const response = await world.call('bank', 'GET', '/v1/balance?x=\u00e4', { token });
    expect(response.status).toBe(400);
    expect(world.upstream.seen).toHaveLength(0);
  });
});

describe("threat 5: the dialled host is the policy's, whatever Host says", () => {
  const auth = (): string => `Authorization: Bearer ${token}`;
  const send = (target: string, fields: readonly string[], method = 'GET') =>
    sendRaw(world.edge.port, rawRequest(method, target, [...fields, 'Connection: close']), { timeoutMs: 5_000 }).catch(
      () => null,
    );

  it('an odd Host field is refused, or does not change where the call goes nor what the upstream is told', async () => {
    world.upstream.handle(echo());
    for (const host of [
      'evil.example',
      `127.0.0.1:${world.edge.port}:x@attacker`,
      'evil.example/x',
      '169.254.169.254',
      '',
      'a b',
      'evil.example:80:80',
    ]) {
      world.upstream.forget();
      const response = await send('/proxy/bank/v1/balance', [`Host: ${host}`, auth()]);
      const [seen] = world.upstream.seen;
      if (seen === undefined) expect(response === null || response.status >= 400, host).toBe(true);
      else expect(seen.headers['host'], host).toBe(`127.0.0.1:${world.upstream.port}`);
    }
  });

  it('two Host fields are refused (RFC 9112 §3.2)', async () => {
    const own = `Host: 127.0.0.1:${world.edge.port}`;
    for (const other of [own, 'Host: evil.example']) {
      world.upstream.forget();
      const response = await send('/proxy/bank/v1/balance', [own, other, auth()]);
      await expectRefused(world, response as RawResponse, 400, 'header_refused');
    }
  });

  it('absolute-form with another host, and CONNECT', async () => {
    world.upstream.handle(echo());
    const own = `Host: 127.0.0.1:${world.edge.port}`;
    const tries: [string, string, readonly string[]][] = [
      ['GET', 'http://evil.example/proxy/bank/v1/balance', [own, auth()]],
      ['GET', 'http://evil.example/v1/balance', [own, auth()]],
      ['GET', `http://127.0.0.1:${world.upstream.port}/v1/balance`, [own, auth()]],
      ['GET', '//evil.example/proxy/bank/v1/balance', [own, auth()]],
      ['CONNECT', 'evil.example:443', ['Host: evil.example:443', auth()]],
      ['CONNECT', `127.0.0.1:${world.upstream.port}`, [own, auth()]],
      ['OPTIONS', '*', [own, auth()]],
    ];
    for (const [method, target, fields] of tries) {
      world.upstream.forget();
      const response = await send(target, fields, method);
      const what = `${method} ${target}`;
      for (const seen of world.upstream.seen)
        expect(seen, what).toMatchObject({
          target: '/v1/balance',
          headers: { host: `127.0.0.1:${world.upstream.port}` },
        });
      if (method !== 'GET') expect(response === null || response.status >= 400, what).toBe(true);
    }
  });
});

describe('threat 8: the client does not choose the base URL', () => {
  it('fields, parameters and body members that name another host change nothing', async () => {
    world.upstream.handle(echo());
    const evil = 'http://evil.example/';
    const fields = [
      'Base-Url-Override: http://0.0.0.0',
      `X-Portkey-Custom-Host: ${evil}`,
      `X-Forwarded-Host: evil.example`,
      `X-Original-URL: ${evil}`,
      `X-Rewrite-URL: /admin`,
      `X-Host: evil.example`,
      `Forwarded: host=evil.example`,
      `X-Api-Base: ${evil}`,
    ];
    const query = `?api_base=${encodeURIComponent(evil)}&resourceName=httpbin.org%23&base_url=${encodeURIComponent(evil)}`;
    const body = JSON.stringify({ amount: 1, api_base: evil, metadata: { api_base: evil } });
    const response = await world.call('bank', 'POST', `/v1/refunds${query}`, {
      token,
      body,
      fields: [...fields, 'Content-Type: application/json'],
    });
    await expectPassed(world, response);
    const [seen] = world.upstream.seen;
    expect(seen?.target).toBe(`/v1/refunds${query}`);
    expect(JSON.stringify(seen?.rawHeaders)).not.toMatch(/evil\.example|0\.0\.0\.0|\/admin/);
  });
});

describe('threats 9 and 11: an origin is one public https host, written plainly; anything else does not compile', () => {
  const compiles = (origin: string, allowLoopbackHttp = false) =>
    compilePolicies(
      [
        {
          name: 'x.yaml',
          text: `service: x\norigin: ${JSON.stringify(origin)}\ncredential: { scheme: bearer, secret: X_KEY }\ncapabilities:\n  read: { allow: GET /x }\n`,
        },
      ],
      { allowLoopbackHttp },
    );

  it('a plain one does', () => {
    expect(compiles('https://api.example.com').ok).toBe(true);
  });

  it.each([
    'http://api.example.com',
    'https://2130706433',
    'https://0x7f.1',
    'https://0177.0.0.1',
    'https://127.1',
    'https://127.0.0.1',
    'https://[::ffff:127.0.0.1]',
    'https://[::]',
    'https://[::1]',
    'https://[64:ff9b::7f00:1]',
    'https://[2002:7f00:1::]',
    'https://169.254.169.254',
    'https://metadata.google.internal',
    'https://metadata.google.internal.',
    'https://api.example.com.',
    'https://evil\u3002example',
    'https://10.0.0.1',
    'https://192.168.1.1',
    'https://100.64.0.1',
    'https://0.0.0.0',
    'https://localhost',
    'https://127.0.0.1.nip.io',
    'https://*.example.com',
    'https://api.example.com/v1',
    'https://a@api.example.com',
    'https://api.example.com?x',
    'https://api.example.com#',
    'https://API.example.com',
    'https://api.example.com:443',
    'ftp://api.example.com',
    'https://b\u00fccher.example',
    'https://intranet',
    '//api.example.com',
    'https:\\\\api.example.com',
    'https://api.example.com\\@evil.example',
  ])('refused: %s', (origin) => {
    expect(compiles(origin).ok).toBe(false);
  });

  it('on loopback http passes only under keywarden dev', () => {
    expect(compiles('http://127.0.0.1:8080').ok).toBe(false);
    expect(compiles('http://127.0.0.1:8080', true).ok).toBe(true);
    expect(compiles('http://169.254.169.254', true).ok).toBe(false);
  });
});
