import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestOptions, request, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createRawServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Egress, openEgress } from '../../src/sandbox/egress/open-egress.ts';

interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly raw: readonly string[];
  readonly bytes: number;
}

const directory = mkdtempSync(join(tmpdir(), 'keywarden-egress-'));
const socket = join(directory, 'egress');
const asked: Asked[] = [];
let edge: Server;
let egress: Egress;

beforeAll(async () => {
  edge = createServer({ maxHeaderSize: 131_072 }, (incoming, outgoing) => {
    let bytes = 0;
    incoming.on('data', (chunk: Buffer) => (bytes += chunk.length));
    incoming.on('end', () => {
      asked.push({ method: incoming.method, url: incoming.url, raw: incoming.rawHeaders, bytes });
      if (incoming.url === '/proxy/demo/held') return void setTimeout(() => outgoing.end('from the edge'), 1_000);
      if (incoming.url !== '/proxy/demo/events') return void outgoing.end('from the edge');
      outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
      outgoing.write('data: 1\n\n');
      setTimeout(() => outgoing.end('data: 2\n\n'), 300);
    });
  });
  await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
  egress = await openEgress(socket, `http://127.0.0.1:${(edge.address() as AddressInfo).port}`);
});
afterAll(async () => {
  await egress.close();
  edge.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
  readonly at: readonly number[];
}

const ask = (path: string, options: RequestOptions = {}, body?: Buffer): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = request({ socketPath: socket, path, ...options }, async (answer: IncomingMessage) => {
      const at: number[] = [];
      let text = '';
      for await (const chunk of answer) {
        at.push(performance.now());
        text += chunk;
      }
      resolve({ status: answer.statusCode, text, at });
    });
    sent.on('error', reject);
    sent.end(body);
  });

let rawEdges = 0;
/** An edge that does as it is told when the first bytes of a request have come, and a way out that leads to it. */
async function withRawEdge(act: (client: Socket) => void, use: (socketPath: string) => Promise<void>): Promise<void> {
  const server = createRawServer((client) => {
    client.once('data', () => act(client)).on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Each with a path of its own, so that no kept connection of the one before is taken.
  const socketPath = join(directory, `raw-${++rawEdges}`);
  const other = await openEgress(socketPath, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    await use(socketPath);
  } finally {
    await other.close();
    server.close();
  }
}

/** Bytes as they are, for what no client library would write. */
const raw = (text: string): Promise<string> =>
  new Promise((resolve) => {
    let answer = '';
    const client = connect(socket, () => client.write(text, 'latin1'));
    // Where the connection is kept there is no end to wait for.
    client.setTimeout(500, () => client.destroy());
    client.setEncoding('latin1').on('data', (chunk) => (answer += chunk));
    client.on('close', () => resolve(answer)).on('error', () => resolve(answer));
  });

describe('the way out of a sandbox', () => {
  it('is a socket of its owner alone', () => expect(statSync(socket).mode & 0o777).toBe(0o600));

  it('leads to what agents may ask the edge for', async () => {
    const targets = ['/proxy/stripe/v1/balance?a=b', '/v1/capabilities', '/v1/approvals/apr_01', '/healthz'];
    for (const target of [...targets, '/.well-known/jwks.json']) expect((await ask(target)).text).toBe('from the edge');
  });

  it.each([
    ['/v1/tokens'],
    ['/v1/audit'],
    ['/console/'],
    ['/'],
    ['/openapi.json'],
    ['/v1/approvals/'],
    ['/v1/approvals/apr_1/approve'],
    ['/v1/capabilities/x'],
    ['/proxy'],
    ['/proxyx/'],
    ['/proxy/../v1/tokens'],
    ['/proxy/%2e%2e/v1/tokens'],
    ['/proxy/%2E./v1/tokens'],
    ['/proxy/..%2fv1/tokens'],
    ['/proxy/..%5cv1/tokens'],
    ['/proxy/..\\v1/tokens'],
    ['/proxy/../v1/tokens%2f..%2f..%2fproxy/x'],
    ['///proxy/x'],
    ['*'],
    ['//evil.example/proxy/'],
    ['http://evil.example/proxy/x'],
  ])('does not lead to %s, and the edge is not asked (A7, A8)', async (target) => {
    const before = asked.length;
    const answer = await raw(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 404 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      status: 404,
      error: { code: 'not_offered' },
    });
    expect(asked.length).toBe(before);
  });

  it.each(['/v1/approvals/apr_1', '/v1/capabilities', '/healthz'])('only reads %s', async (target) =>
    expect((await ask(target, { method: 'POST' })).status).toBe(404),
  );

  it('opens no tunnel (A19)', async () => {
    const before = asked.length;
    expect(await raw('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n')).not.toMatch(/ 200 /);
    const answer = await raw(
      'GET /proxy/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\n',
    );
    expect(answer).toMatch(/HTTP\/1.1 200 /);
    expect(asked.length).toBe(before + 1);
    expect(asked.at(-1)?.raw.join('\n')).not.toMatch(/upgrade|expect/i);
  });

  it('leaves target and fields as they are, and names the edge as the host', async () => {
    await raw(
      'GET /proxy/a//b%2Fc;d=1?x=%20&x=2 HTTP/1.1\r\nHost: evil\r\nX-A: 1\r\nx-a: 2\r\nConnection: close, x-gone\r\nX-Gone: 1\r\n\r\n',
    );
    const got = asked.at(-1);
    expect(got?.url).toBe('/proxy/a//b%2Fc;d=1?x=%20&x=2');
    const port = (edge.address() as AddressInfo).port;
    expect(got?.raw).toEqual([
      ...['X-A', '1', 'x-a', '2', 'Host', `127.0.0.1:${port}`],
      // By which the edge answers with addresses that lead back here.
      ...['keywarden-base', 'http://evil', 'Connection', 'close'],
    ]);
  });

  it('keeps what the edge knows the agent by, though it is named as a field of the connection alone (A12)', async () => {
    const kept = 'Authorization: Bearer t\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n';
    await raw(
      `POST /proxy/x HTTP/1.1\r\nHost: x\r\n${kept}Connection: close, authorization, content-type, content-length, host\r\n\r\nhi`,
    );
    expect(asked.at(-1)).toMatchObject({ url: '/proxy/x', bytes: 2 });
    expect(asked.at(-1)?.raw.slice(0, 6)).toEqual([
      ...['Authorization', 'Bearer t', 'Content-Type', 'text/plain', 'Content-Length', '2'],
    ]);
  });

  it.each([
    ['two lengths', 'Content-Length: 1\r\nContent-Length: 2\r\n'],
    ['a length and chunks', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n'],
    ['an odd coding', 'Transfer-Encoding: xchunked\r\n'],
  ])('refuses %s (A13)', async (_, fields) => {
    const before = asked.length;
    const answer = await raw(`POST /proxy/x HTTP/1.1\r\nHost: x\r\n${fields}\r\n0\r\n\r\n`);
    expect(answer).not.toMatch(/ 200 /);
    expect(asked.length).toBe(before);
  });

  it('carries a large upload, with and without a length', async () => {
    const body = Buffer.alloc(20_000_000, 7);
    await ask('/proxy/up', { method: 'PUT', headers: { 'content-length': body.length } }, body);
    expect(asked.at(-1)?.bytes).toBe(body.length);
    await ask('/proxy/up', { method: 'PUT', headers: { 'transfer-encoding': 'chunked' } }, body);
    expect(asked.at(-1)?.bytes).toBe(body.length);
  });

  it('carries a head as large as the edge takes and services answer', async () => {
    const fields = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [`x-${name}`, name.repeat(8000)]));
    const target = `/proxy/x?q=${'q'.repeat(16_000)}`;
    expect(await ask(target, { headers: fields })).toMatchObject({ status: 200 });
    expect(asked.at(-1)?.url).toBe(target);
    const answer = `HTTP/1.1 200 OK\r\nx-a: ${'a'.repeat(30_000)}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok`;
    await withRawEdge(
      (client) => client.end(answer),
      async (socketPath) =>
        expect(await ask('/proxy/x', { socketPath, maxHeaderSize: 65_536 })).toMatchObject({ status: 200, text: 'ok' }),
    );
  });

  it('gives the no of an edge that reads no more of a large upload', async () => {
    const no = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\nConnection: close\r\n\r\ndenied.';
    await withRawEdge(
      (client) => client.write(no, () => client.resetAndDestroy()),
      async (socketPath) => {
        const body = Buffer.alloc(20_000_000);
        for (let i = 0; i < 5; i++)
          expect(await ask('/proxy/up', { socketPath, method: 'PUT' }, body)).toMatchObject({
            status: 403,
            text: 'denied.',
          });
      },
    );
  });

  it('says that the edge is away when it ends an upload without a word', async () => {
    await withRawEdge(
      (client) => client.resetAndDestroy(),
      async (socketPath) =>
        expect((await ask('/proxy/up', { socketPath, method: 'PUT' }, Buffer.alloc(20_000_000))).status).toBe(503),
    );
  });

  it('carries both ways at once', async () => {
    await withRawEdge(
      (client) => {
        client.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n');
        client.on('data', (more) => more.includes('last') && client.end('heard'));
      },
      async (socketPath) => {
        const sent = request({ socketPath, path: '/proxy/x', method: 'POST' });
        sent.write('first');
        const answer = await new Promise<IncomingMessage>((resolve) => sent.on('response', resolve));
        sent.end('last');
        let text = '';
        for await (const chunk of answer) text += chunk;
        expect(text).toBe('heard');
      },
    );
  });

  it('carries events as they come', async () => {
    const { text, at } = await ask('/proxy/demo/events');
    expect(text).toBe('data: 1\n\ndata: 2\n\n');
    expect((at.at(-1) ?? 0) - (at[0] ?? 0)).toBeGreaterThan(200);
  });

  describe('with room for three connections and one request', () => {
    const other = join(directory, 'small');
    let small: Egress;
    beforeAll(async () => {
      const port = (edge.address() as AddressInfo).port;
      const bounds = { connections: 3, silentMs: 100, requests: 1, waitMs: 500 };
      small = await openEgress(other, `http://127.0.0.1:${port}`, bounds);
    });
    afterAll(() => small.close());
    const open = async (): Promise<Socket> => {
      const client = connect(other);
      client.on('error', () => {});
      await once(client, 'connect');
      return client;
    };

    const stay = (...clients: Socket[]): boolean[] => clients.map(({ readyState }) => readyState === 'open');

    it('a new connection takes the place of the one that is silent for longest, and of none that asks', async () => {
      const asking = ask('/proxy/demo/held', { socketPath: other });
      await sleep(50);
      const [first, second] = [await open(), await open()];
      await sleep(150);
      const third = await open();
      await expect.poll(() => stay(first, second, third)).toEqual([false, true, true]);
      expect(await asking).toMatchObject({ status: 200, text: 'from the edge' });
      second.destroy();
      third.destroy();
    });

    it('one that is kept and asks again is not the longest silent, and a new one is safe for a moment', async () => {
      const [kept, silent] = [await open(), await open()];
      await sleep(150);
      kept.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(kept, 'data');
      const [third, fourth] = [await open(), await open()];
      await expect.poll(() => stay(silent)).toEqual([false]);
      expect(stay(kept, third, fourth)).toEqual([true, true, true]);
      for (const client of [kept, third, fourth]) client.destroy();
    });

    it('a request waits for its turn, and gets a 503 when it does not come or all connections ask', async () => {
      const began = performance.now();
      const held = ask('/proxy/demo/held', { socketPath: other });
      const asking = ['/proxy/a', '/proxy/b', '/proxy/c'].map((path) => ask(path, { socketPath: other }));
      const answers = await Promise.all(asking);
      for (const { status, text } of answers)
        expect([status, JSON.parse(text).error.code]).toEqual([503, 'too_many_connections']);
      const waited = answers.map(({ at }) => (at[0] ?? 0) - began).sort((a, b) => a - b);
      expect(waited[0]).toBeLessThan(400);
      expect(waited[1]).toBeGreaterThan(450);
      expect((await held).text).toBe('from the edge');
      const two = ['/proxy/demo/events', '/healthz'].map((path) => ask(path, { socketPath: other }));
      expect((await Promise.all(two)).map(({ status }) => status)).toEqual([200, 200]);
    });
  });

  it('says so when the edge is away, or when there is none', async () => {
    for (const url of ['http://127.0.0.1:1', null]) {
      const other = join(directory, 'other');
      const away = await openEgress(other, url);
      const answer = await ask('/proxy/x', { socketPath: other });
      expect(JSON.parse(answer.text)).toMatchObject({ status: 503, error: { code: 'edge_unreachable' } });
      await away.close();
    }
  });
});
