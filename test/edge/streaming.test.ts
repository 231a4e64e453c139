import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestEdge, type TestEdge } from '../support/edge.ts';
import { sleep, until } from '../support/process.ts';
import { rawCall } from '../support/raw.ts';
import { answer, download, echo, json, slow, sse, startUpstream, type Upstream, upload } from '../support/upstream.ts';

const MIB = 1024 * 1024;
const KEY = 'sk_live_streaming_0123456789';
let upstream: Upstream;
let edge: TestEdge;
let token: string;

beforeAll(async () => {
  upstream = await startUpstream();
  edge = await startTestEdge({
    policies: {
      'bank.yaml': `service: bank
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities:
  all:
    allow:
      - GET|HEAD|POST|PUT /v1/{rest+}
      - match: GET|POST /v2/{rest+}
        when: method != "POST" || body.amount <= 5000
`,
    },
    vars: { BANK_KEY: KEY },
  });
  token = await edge.mint('streamer', ['bank:all']);
});
afterEach(() => upstream.forget());
afterAll(async () => {
  await edge?.stop();
  await upstream?.stop();
});

const url = (path: string): string => `${edge.proxy('bank')}${path}`;
const headers = (): Record<string, string> => ({ authorization: `Bearer ${token}` });

/** Resident memory of workerd, bytes. */
function residentBytes(): number {
  const pages = Number(readFileSync(`/proc/${edge.workerdPid()}/statm`, 'utf8').split(' ')[1]);
  return pages * 4096;
}

/** The peak above the start while `work` runs. */
async function extraMemory(work: () => Promise<void>): Promise<number> {
  const before = residentBytes();
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, residentBytes())), 20);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return peak - before;
}

describe('server-sent events', () => {
  it('pass one by one, while the upstream is still silent about the next', async () => {
    upstream.handle(sse(['data: one\n\n', 'data: two\n\n', 'data: three\n\n'], 400));
    const response = await fetch(url('/v1/events'), { headers: headers() });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const seen: { text: string; at: number }[] = [];
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) seen.push({ text: decoder.decode(chunk), at: Date.now() });
    expect(seen.map((s) => s.text)).toEqual(['data: one\n\n', 'data: two\n\n', 'data: three\n\n']);
    // Buffered, all three would come at once at the end.
    expect((seen[2]?.at ?? 0) - (seen[0]?.at ?? 0)).toBeGreaterThan(500);
  });

  it('a slow upstream of unknown length is not gathered', async () => {
    upstream.handle(slow(['a', 'b'], { everyMs: 500 }));
    const started = Date.now();
    const response = await fetch(url('/v1/slow'), { headers: headers() });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    const firstAt = Date.now() - started;
    await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toBe('a');
    expect(Date.now() - started - firstAt).toBeGreaterThan(300);
  });

  it('a key split over two events is redacted, and text that only begins like it passes', async () => {
    upstream.handle(
      sse([`data: ${KEY.slice(0, 9)}`, `${KEY.slice(9)}\n\n`, 'data: sk_live_stre', 'aming-ended\n\n'], 50),
    );
    const text = await (await fetch(url('/v1/events'), { headers: headers() })).text();
    expect(text).toBe('data: [redacted]\n\ndata: sk_live_streaming-ended\n\n');
  });
});

describe('large bodies that no rule reads', () => {
  it('200 MiB come down whole, in less than 64 MiB of memory', async () => {
    const size = 200 * MIB;
    upstream.handle(download(size));
    let bytes = 0;
    const extra = await extraMemory(async () => {
      const response = await fetch(url('/v1/file'), { headers: headers() });
      expect(response.headers.get('content-length')).toBe(String(size));
      for await (const chunk of response.body ?? []) bytes += chunk.byteLength;
    });
    expect(bytes).toBe(size);
    expect(extra).toBeLessThan(64 * MIB);
  });

  it('200 MiB go up whole, with their length, in less than 64 MiB of memory', async () => {
    const size = 200 * MIB;
    upstream.handle(upload());
    const chunk = Buffer.alloc(256 * 1024, 'up');
    const hash = createHash('sha256');
    let answer = '';
    const extra = await extraMemory(async () => {
      answer = await new Promise<string>((resolve, reject) => {
        const req = request(
          url('/v1/file'),
          { method: 'PUT', headers: { ...headers(), 'content-length': size } },
          (res) => {
            let text = '';
            res.on('data', (d) => (text += d));
            res.on('end', () => resolve(text));
          },
        );
        req.on('error', reject);
        let left = size;
        const more = (): void => {
          while (left > 0) {
            hash.update(chunk);
            left -= chunk.length;
            if (!req.write(chunk)) return void req.once('drain', more);
          }
          req.end();
        };
        more();
      });
    });
    expect(JSON.parse(answer)).toEqual({ bytes: size, sha256: hash.digest('hex') });
    expect(upstream.seen[0]?.headers['content-length']).toBe(String(size));
    expect(extra).toBeLessThan(64 * MIB);
  });
});

describe('an answer without content', () => {
  it.each([
    ['gzip that holds nothing', gzipSync(''), 'gzip'],
    ['br that holds nothing', brotliCompressSync(''), 'br'],
    ['no bytes, called gzip', '', 'gzip'],
    ['no bytes, called br', '', 'br'],
    ['no bytes, called zstd', '', 'zstd'],
  ])('%s is an empty answer', async (_, body, coding) => {
    upstream.handle(answer(200, body, { 'content-encoding': coding, etag: '"e"' }));
    const response = await fetch(url('/v1/nothing'), { headers: headers() });
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({ etag: '"e"' });
    expect(response.headers.has('content-encoding')).toBe(false);
    expect(await response.text()).toBe('');
  });
});

describe('a GET without content', () => {
  it.each(['GET', 'HEAD'])('is sent as such, though the client says %s with Content-Length: 0', async (method) => {
    upstream.handle(echo());
    const response = await rawCall(edge.port, method, '/proxy/bank/v1/x', { token, fields: ['Content-Length: 0'] });
    expect(response?.status).toBe(200);
    expect(upstream.seen[0]?.headers).not.toHaveProperty('content-length');
  });

  it('and when the rule that allows it reads the bodies of other methods', async () => {
    upstream.handle(echo());
    const response = await rawCall(edge.port, 'GET', '/proxy/bank/v2/x', { token });
    expect(response?.status).toBe(200);
  });
});

describe('the client goes away', () => {
  it('while the upstream streams: the upstream sees it, and the outcome says so', async () => {
    upstream.handle(
      slow(
        Array.from({ length: 1000 }, () => 'tick '),
        { everyMs: 50 },
      ),
    );
    const controller = new AbortController();
    const response = await fetch(url('/v1/endless'), { headers: headers(), signal: controller.signal });
    await response.body?.getReader().read();
    controller.abort();
    expect(await upstream.seen[0]?.closed).toBe('cut');
    const id = response.headers.get('keywarden-request-id') ?? '';
    await until('the outcome row', async () => (await edge.audit({ request_id: id })).length === 2, 15_000);
    const [outcome] = await edge.audit({ request_id: id });
    expect(outcome).toMatchObject({ event: 'call.failed', reason: 'client_cancelled', status: 200 });
    expect(outcome?.detail).toEqual({ why: 'before the answer had been sent whole' });
  });

  // workerd learns of a mere FIN only when it writes (a client may half-close and still read); a reset it sees at once.
  it('before the upstream answers, with a reset: the upstream sees it', async () => {
    upstream.handle(slow(['late'], { headMs: 10_000 }));
    const socket = connect(edge.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`GET /proxy/bank/v1/late HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    await until('the call at the upstream', () => upstream.seen.length === 1);
    socket.resetAndDestroy();
    expect(await Promise.race([upstream.seen[0]?.closed, sleep(5_000).then(() => 'still open')])).toBe('cut');
  });
});

describe('the runtime', () => {
  it('answers HEAD with the length of what GET would bring', async () => {
    upstream.handle(json({ hello: 'world' }));
    const policies = await fetch(url('/v1/x'), { method: 'GET', headers: headers() });
    expect(policies.headers.get('content-length')).toBe('17');
  });
});
