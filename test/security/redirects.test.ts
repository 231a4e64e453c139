import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { answer, startUpstream, type Upstream } from '../support/upstream.ts';
import { BANK_KEY, KEYED_KEY, QUERY_KEY, rowOf, startWorld, type World } from './world.ts';

let world: World;
let evil: Upstream;
let token: string;
beforeAll(async () => {
  world = await startWorld();
  evil = await startUpstream();
  token = await world.token(['bank:echo', 'keyed:echo', 'queried:echo']);
}, 120_000);
afterAll(async () => {
  await world?.stop();
  await evil.stop();
});
beforeEach(() => {
  world.upstream.forget();
  evil.forget();
});

describe('threat 6: a redirect takes the credential nowhere', () => {
  const elsewhere: [string, (port: number, evilPort: number) => string][] = [
    ['another port of the same host', (_, p) => `http://127.0.0.1:${p}/take`],
    ['another host', () => 'http://evil.example/take'],
    ['a name that resolves to the same address', (port) => `http://localhost:${port}/take`],
    ['a subdomain', (port) => `http://x.127.0.0.1:${port}/take`],
    ['another scheme', (port) => `https://127.0.0.1:${port}/take`],
    ['a protocol-relative reference', () => '//evil.example/take'],
    ['backslashes', () => '\\\\evil.example\\take'],
    ['a slash and a backslash', () => '/\\evil.example/take'],
    ['user information before the right host', (port) => `http://evil@127.0.0.1:${port}/take`],
    ['empty user information', (port) => `http://@127.0.0.1:${port}/take`],
    ['the right host as user information', (port) => `http://127.0.0.1:${port}@evil.example/take`],
    ['a script', () => 'javascript:alert(1)'],
    ['data', () => 'data:text/html,x'],
    ['a file', () => 'file:///etc/passwd'],
    ['a tab in the scheme', () => 'ht\ttp://evil.example/'],
    ['an IDN dot', () => 'http://evil%E3%80%82example/take'],
  ];
  it.each(elsewhere)('refused: %s', async (_, locationOf) => {
    for (const status of [301, 302, 303, 307, 308]) {
      world.upstream.forget();
      world.upstream.handle(answer(status, '', { location: locationOf(world.upstream.port, evil.port) }));
      const response = await world.call('bank', 'POST', '/echo/x', { token, body: 'amount=1' });
      expect(response.status, String(status)).toBe(502);
      expect(response.headers['location']).toBeUndefined();
      expect(world.upstream.seen).toHaveLength(1);
      expect(evil.seen).toHaveLength(0);
      expect(await rowOf(world, response, 'call.failed')).toMatchObject({ reason: 'upstream_redirect_refused' });
    }
  });

  it.each([301, 302, 303, 307, 308])(
    '%i to the same origin is not followed but rewritten to the proxy, where policy judges it again',
    async (status) => {
      world.upstream.handle(answer(status, '', { location: `http://127.0.0.1:${world.upstream.port}/v1/charges?x=1` }));
      const response = await world.call('bank', 'GET', '/echo/x', { token });
      expect(world.upstream.seen).toHaveLength(1);
      expect(response.headers['location']).toBe(`${world.edge.url}/proxy/bank/v1/charges?x=1`);
      world.upstream.forget();
      const followed = await world.call('bank', 'GET', '/v1/charges?x=1', { token });
      expect(followed.status).toBe(403);
      expect(world.upstream.seen).toHaveLength(0);
    },
  );

  it('nor does an address in another field of the header, to which an SDK goes on by itself', async () => {
    const target = '/v1/charges?upload_id=1';
    world.upstream.handle(
      answer(200, '', {
        'x-goog-upload-url': `http://127.0.0.1:${world.upstream.port}${target}`,
        'operation-location': `http://127.0.0.1:${evil.port}${target}`,
      }),
    );
    const { headers } = await world.call('keyed', 'POST', '/echo/x?a=1&x-acme-key=theirs', { token, body: 'x' });
    expect(headers['x-goog-upload-url']).toBe(`${world.edge.url}/proxy/keyed${target}`);
    expect(headers['operation-location']).toBe(`http://127.0.0.1:${evil.port}${target}`);
    expect(world.upstream.seen.map((one) => one.target)).toEqual(['/echo/x?a=1']);
    world.upstream.forget();
    expect((await world.call('keyed', 'PUT', target, { token, body: 'x' })).status).toBe(403);
    expect(world.upstream.seen).toHaveLength(0);
  });

  it('is rewritten to the address that a sandbox knows the edge by, and to no address of another host', async () => {
    const location = `http://127.0.0.1:${world.upstream.port}/v1/charges`;
    world.upstream.handle(answer(302, '', { location, link: '</v1/charges?page=2>; rel="next"' }));
    for (const [said, base] of [
      ['http://127.0.0.1:8787', 'http://127.0.0.1:8787'],
      ['http://localhost:8787', 'http://localhost:8787'],
      ['http://evil.example', world.edge.url],
      ['http://127.0.0.1:8787@evil.example', world.edge.url],
      ['http://127.0.0.1:8787/x', world.edge.url],
      ['https://127.0.0.1:8787', world.edge.url],
    ] as const) {
      world.upstream.forget();
      const response = await world.call('bank', 'GET', '/echo/x', { token, fields: [`Keywarden-Base: ${said}`] });
      expect(response.headers['location']).toBe(`${base}/proxy/bank/v1/charges`);
      expect(response.headers['link']).toBe(`<${base}/proxy/bank/v1/charges?page=2>; rel="next"`);
      expect(JSON.stringify(world.upstream.seen)).not.toMatch(/keywarden-base/i);
    }
  });

  it.each([
    ['#top', '/echo/x?a=1#top'],
    ['?b=2', '/echo/x?b=2'],
    ['y', '/echo/y'],
    [Buffer.from('/echo/é', 'utf8').toString('latin1'), '/echo/%C3%A9'],
  ])('a relative %j is resolved against all of the URL that was asked (RFC 3986 §5)', async (location, target) => {
    world.upstream.handle(answer(302, '', { location }));
    const response = await world.call('bank', 'GET', '/echo/x?a=1', { token });
    expect(response.headers['location']).toBe(`${world.edge.url}/proxy/bank${target}`);
  });

  it('under a query scheme what is resolved against is what the agent asked, and never holds the key', async () => {
    world.upstream.handle(answer(302, '', { location: '#top' }));
    const response = await world.call('queried', 'GET', `/echo/x?a=1&key=${token}`);
    expect(world.upstream.seen[0]?.target).toContain(encodeURIComponent(QUERY_KEY).slice(0, 20));
    expect(response.headers['location']).toBe(`${world.edge.url}/proxy/queried/echo/x?a=1&key=${token}#top`);
  });

  it('a Location, Refresh or Content-Location that holds the key is scrubbed or dropped, under a query scheme too', async () => {
    const origin = world.upstream.origin;
    for (const [service, key] of [
      ['bank', BANK_KEY],
      ['keyed', KEYED_KEY],
      ['queried', QUERY_KEY],
    ] as const) {
      const url = `${origin}/echo/y?key=${encodeURIComponent(key)}`;
      world.upstream.handle(answer(302, '', { location: url, 'content-location': url, refresh: `0; url=${url}` }));
      const response = await world.call(service, 'GET', '/echo/x', { token });
      const wire = response.wire.toString('latin1');
      expect(response.status).toBe(302);
      expect(wire.includes(key) || wire.includes(encodeURIComponent(key))).toBe(false);
    }
  });
});
