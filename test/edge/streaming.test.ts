import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AuditRowJson } from '../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../support/edge.ts';
import { sleep, until } from '../support/process.ts';
import { rawCall } from '../support/raw.ts';
import { answer, download, echo, slow, sse, startUpstream, type Upstream, upload } from '../support/upstream.ts';

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
      'brief.yaml': `service: brief
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
timeout: 60s
idle_timeout: 2s
response: { scrub: false }
capabilities:
  all: { allow: 'GET /{rest+}' }
`,
      'hasty.yaml': `service: hasty
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
timeout: 1s
capabilities:
  all: { allow: 'PUT /{rest+}' }
`,
      's3.yaml': `service: s3
origin: ${upstream.origin}
credential: { scheme: sigv4, accessKeyId: AWS_ID, secretAccessKey: AWS_SECRET, region: eu-central-1, service: s3 }
capabilities:
  put:
    allow: PUT /{path+}
`,
    },
    vars: {
      BANK_KEY: KEY,
      AWS_ID: 'AKIASTREAMINGTEST001',
      AWS_SECRET: 'wStreamingSecretK7MDENGbPxRfiCYTESTKEY01',
    },
  });
  token = await edge.mint('streamer', ['bank:all', 'brief:all', 'hasty:all', 's3:put']);
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

/** How the call that was admitted last ended. */
async function outcomeOfLast(): Promise<AuditRowJson | undefined> {
  const [admitted] = await edge.audit({ event: 'call.admitted', limit: 1 });
  const ofCall = { request_id: admitted?.request_id ?? '' };
  await until('the outcome row', async () => (await edge.audit(ofCall)).length === 2, 15_000);
  return (await edge.audit(ofCall))[0];
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

  it('pass one by one even when their length is told', async () => {
    let next = (): void => undefined;
    upstream.handle((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream', 'content-length': 22 }).write('data: one\n\n');
      next = () => void res.end('data: two\n\n');
    });
    const response = fetch(url('/v1/events'), { headers: headers() });
    const reader = (await Promise.race([response, sleep(30_000)]))?.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('data: one\n\n');
    next();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('data: two\n\n');
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

  it.each([
    ['a key, which is redacted', KEY, '[redacted]', 2],
    ['what only begins like a key, which passes', KEY.slice(0, -1), KEY.slice(0, -1), 1],
  ])('may end in %s; the one in a field is counted, too', async (_, end, seen, redactions) => {
    upstream.handle((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream', 'x-echo': KEY }).write('data: ');
      res.end(end);
    });
    const response = await fetch(url('/v1/events'), { headers: headers() });
    expect(await response.text()).toBe(`data: ${seen}`);
    const ofCall = { request_id: response.headers.get('keywarden-request-id') ?? '', event: 'call.completed' };
    await until('the outcome row', async () => (await edge.audit(ofCall)).length === 1, 15_000);
    expect(await edge.audit(ofCall)).toMatchObject([{ redactions, response_bytes: 6 + seen.length }]);
  });
});

describe('silence', () => {
  const brief = (path: string) => fetch(`${edge.proxy('brief')}${path}`, { headers: headers() });

  it('in the middle of a small body of known length is the fault of the upstream, and soon noticed', async () => {
    upstream.handle((_, res) => void res.writeHead(200, { 'content-length': 5 }).write('a'));
    // Long before the minute in which an answer may begin.
    const response = await Promise.race([brief('/stalled'), sleep(30_000)]);
    expect(response?.status).toBe(504);
    expect(await outcomeOfLast()).toMatchObject({ event: 'call.failed', reason: 'upstream_timeout' });
  });

  it('of a client that takes its time is none of the upstream', async () => {
    upstream.handle(download(64 * MIB));
    const response = await brief('/file');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let bytes = (await reader.read()).value?.byteLength ?? 0;
    await sleep(3_000);
    for (let read = await reader.read(); !read.done; read = await reader.read()) bytes += read.value.byteLength;
    expect(bytes).toBe(64 * MIB);
  });

  it('during an upload is not yet that of the upstream, which answers when it has all of it', async () => {
    upstream.handle(upload());
    const chunk = 'x'.repeat(1_000_000);
    const slow = async (framing: string, first: string, second: string): Promise<string> => {
      const socket = connect(edge.port, '127.0.0.1');
      const lines = ['PUT /proxy/hasty/file HTTP/1.1', 'Host: edge', `Authorization: Bearer ${token}`, framing];
      socket.write(`${lines.join('\r\n')}\r\nConnection: close\r\n\r\n${first}`);
      await sleep(1_500);
      socket.end(second);
      return (await socket.setEncoding('latin1').toArray()).join('');
    };
    const coded = `f4240\r\n${chunk}\r\n`;
    for (const answer of await Promise.all([
      slow(`Content-Length: ${2 * chunk.length}`, chunk, chunk),
      slow('Transfer-Encoding: chunked', coded, `${coded}0\r\n\r\n`),
    ]))
      expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('a policy that leaves the credential in answers', () => {
  it('gets them as they are', async () => {
    upstream.handle(answer(200, `the key is ${KEY}`));
    expect(await (await fetch(`${edge.proxy('brief')}/x`, { headers: headers() })).text()).toBe(`the key is ${KEY}`);
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

describe('an upload that does not say its length', () => {
  it.each([
    ['streamed', '/v1/file', ['PUT'], 'x'.repeat(100_000)],
    ['read by a rule', '/v2/file', ['POST', 'Content-Type: application/json'], `{"amount":${' '.repeat(5_000)}1}`],
  ] as const)('has its size in its row all the same: %s', async (_, path, [method, ...fields], content) => {
    upstream.handle(upload());
    const body = `${content.length.toString(16)}\r\n${content}\r\n0\r\n\r\n`;
    const framed = [...fields, 'Transfer-Encoding: chunked'];
    const response = await rawCall(edge.port, method, `/proxy/bank${path}`, { token, fields: framed, body });
    expect(JSON.parse(response?.body.toString() ?? '')).toMatchObject({ bytes: content.length });
    expect(await outcomeOfLast()).toMatchObject({ event: 'call.completed', request_bytes: content.length });
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

  it.each<[number, Record<string, string>, string]>([
    [204, {}, ''],
    [205, { 'content-length': '0' }, ''],
    [205, { 'content-length': '3' }, 'odd'],
    [304, { 'content-length': '1234' }, ''],
  ])(
    'of status %i is passed on as one, whatever it tells of a length, or brings: %j %j',
    async (status, length, body) => {
      upstream.handle((_, res) => void res.writeHead(status, { etag: '"e"', ...length }).end(body));
      const response = await rawCall(edge.port, 'GET', '/proxy/bank/v1/nothing', { token });
      expect(response).toMatchObject({ status, headers: { etag: '"e"' } });
      expect(response?.body).toHaveLength(0);
      expect(await outcomeOfLast()).toMatchObject({ event: 'call.completed', status, response_bytes: 0 });
    },
  );

  // Of gzip and br the runtime gives no raw bytes, and its error says the same of nothing as of a beginning that is cut off.
  it.each([
    ['zstd', '', 200],
    ['x-gzip', '', 200],
    ['zstd', 'coded', 502],
    ['gzip', gzipSync('hello').subarray(0, 10), 502],
  ])('of unknown length, called %s: %j is answered with %i', async (coding, body, status) => {
    upstream.handle((_, res) => void res.writeHead(200, { 'content-encoding': coding }).end(body));
    const response = await fetch(url('/v1/nothing'), { headers: headers() });
    expect(response.status).toBe(status);
    expect(response.headers.has('content-encoding')).toBe(false);
    if (status === 200) expect(await response.text()).toBe('');
  });
});

describe('an answer full of the credential', () => {
  // Each redaction written by itself took a sixth of a millisecond.
  it('80,000 times over passes in seconds, without it (threat 3)', async () => {
    upstream.handle(slow(Array<string>(80).fill(`${KEY} `.repeat(1_000)), { everyMs: 0 }));
    const begun = Date.now();
    const response = await fetch(url('/v1/echoes'), { headers: headers() });
    expect(await response.text()).toBe('[redacted] '.repeat(80_000));
    expect(Date.now() - begun).toBeLessThan(6_000);
    const ofCall = { request_id: response.headers.get('keywarden-request-id') ?? '', event: 'call.completed' };
    await until('the outcome row', async () => (await edge.audit(ofCall)).length === 1, 15_000);
    expect(await edge.audit(ofCall)).toMatchObject([{ redactions: 80_000 }]);
  });
});

it('a key in a large answer of known length is redacted, and the length stays true', async () => {
  const around = 'a'.repeat(50_000);
  upstream.handle(answer(200, `${around}${KEY}${around}`));
  const response = await rawCall(edge.port, 'GET', '/proxy/bank/v1/x', { token });
  expect(response?.headers['content-length']).toBe(String(2 * around.length + KEY.length));
  expect(response?.body.toString()).toBe(`${around}${'[redacted]'.padEnd(KEY.length)}${around}`);
});

describe('an answer that nobody scrubs', () => {
  it.each(['zstd', 'x-own'])('passes in %s, which nobody here can take off, as it came', async (coding) => {
    for (const length of [{ 'content-length': '5' }, {}]) {
      upstream.handle((_, res) => void res.writeHead(200, { 'content-encoding': coding, ...length }).end('coded'));
      const response = await rawCall(edge.port, 'GET', '/proxy/brief/x', { token });
      expect(response).toMatchObject({ status: 200, headers: { 'content-encoding': coding, ...length } });
      expect(response?.body.toString()).toBe('coded');
    }
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

  const late = (options: object = {}): Socket => {
    const socket = connect({ port: edge.port, host: '127.0.0.1', ...options });
    socket.on('error', () => undefined);
    socket.write(`GET /proxy/bank/v1/late HTTP/1.1\r\nHost: edge\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    return socket;
  };

  // Of a mere FIN workerd itself learns only when it writes; `keywarden dev` tells it that nobody is there to read.
  it.each<[string, (socket: Socket) => unknown]>([
    ['with a reset', (socket) => socket.resetAndDestroy()],
    ['with a mere FIN', (socket) => socket.destroy()],
  ])('before the upstream answers, %s: the upstream sees it, and the outcome says so', async (_, leave) => {
    upstream.handle(slow(['late'], { headMs: 10_000 }));
    const socket = late();
    await until('the call at the upstream', () => upstream.seen.length === 1);
    leave(socket);
    expect(await Promise.race([upstream.seen[0]?.closed, sleep(5_000).then(() => 'still open')])).toBe('cut');
    expect(await outcomeOfLast()).toMatchObject({ event: 'call.failed', reason: 'client_cancelled' });
  });

  // A reset ends a Worker at once, unless it said that there is something to wait for.
  it('at whatever moment, while its intent is being recorded too: every intent has its outcome', async () => {
    upstream.handle(answer(200, '{}'));
    const before = (await edge.audit({ event: 'call.admitted' })).length;
    for (let afterMs = 0; afterMs < 40; afterMs += 1) {
      const socket = late();
      await sleep(afterMs / 4);
      socket.resetAndDestroy();
    }
    const admitted = async (): Promise<AuditRowJson[]> => {
      const all = await edge.audit({ event: 'call.admitted' });
      return all.slice(0, all.length - before);
    };
    await until('an intent', async () => (await admitted()).length > 0, 15_000);
    await sleep(500);
    for (const { request_id } of await admitted())
      await until('its outcome', async () => (await edge.audit({ request_id })).length === 2, 15_000);
  });

  it('only halfway, and still reads: it has its answer', async () => {
    upstream.handle(slow(['late'], { headMs: 3_000 }));
    const socket = late({ allowHalfOpen: true });
    await until('the call at the upstream', () => upstream.seen.length === 1);
    socket.end();
    let said = '';
    for await (const chunk of socket) {
      said += chunk;
      if (said.endsWith('late\r\n0\r\n\r\n') || said.endsWith('\r\n\r\nlate')) break;
    }
    expect(said).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(said).toContain('late');
    expect(await outcomeOfLast()).toMatchObject({ event: 'call.completed' });
  });
});

describe('an upload that the client cuts off', () => {
  const CHUNK = 'x'.repeat(100_000);
  const framings: [string, string, readonly string[], string][] = [
    ['with a length', 'PUT /proxy/bank/v1/file', [`Content-Length: ${MIB}`], CHUNK],
    ['in chunks', 'PUT /proxy/bank/v1/file', ['Transfer-Encoding: chunked'], `186a0\r\n${CHUNK}\r\n`],
    [
      'in aws-chunks',
      'PUT /proxy/s3/bucket/key',
      [
        `Content-Length: ${MIB + 100}`,
        'Content-Encoding: aws-chunked',
        'X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        `X-Amz-Decoded-Content-Length: ${MIB}`,
      ],
      `186a0\r\n${CHUNK}\r\n186a0\r\n${CHUNK}`,
    ],
  ];
  const ways: [string, (socket: Socket) => unknown][] = [
    ['closes', (socket) => socket.destroy()],
    ['resets', (socket) => socket.resetAndDestroy()],
    ['half-closes', (socket) => socket.end()],
  ];

  function begin(line: string, fields: readonly string[], body: string): Socket {
    const socket = connect({ port: edge.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => undefined);
    socket.resume();
    const lines = [`${line} HTTP/1.1`, 'Host: edge', `Authorization: Bearer ${token}`, ...fields, '', body];
    socket.write(lines.join('\r\n'));
    return socket;
  }

  it.each(framings)(
    '%s never looks whole to the upstream, and is recorded as the doing of the client',
    async (...row) => {
      const [, line, fields, body] = row;
      upstream.handle(upload());
      for (const [way, cut] of ways) {
        upstream.forget();
        const socket = begin(line, fields, body);
        await until('the upload at the upstream', () => (upstream.seen[0]?.bodyBytes() ?? 0) >= CHUNK.length);
        cut(socket);
        expect(await upstream.seen[0]?.received, way).toBe('broken');
        expect(await outcomeOfLast(), way).toMatchObject({ event: 'call.failed', reason: 'client_cancelled' });
        socket.destroy();
      }
    },
  );

  it('is told from one during which the upstream breaks off', async () => {
    upstream.handle((req) => void req.once('data', () => req.socket.resetAndDestroy()));
    const socket = begin('PUT /proxy/bank/v1/file', [`Content-Length: ${MIB}`], CHUNK);
    await until('the upload at the upstream', () => upstream.seen.length === 1);
    expect(await outcomeOfLast()).toMatchObject({ event: 'call.failed', reason: 'upstream_unreachable' });
    socket.destroy();
  });
});

describe('a part of an upload whose checksum comes in a trailer', () => {
  const PART = '/proxy/s3/bucket/key?partNumber=1&uploadId=u';
  const fieldsOf = (size: number): string[] => [
    'Transfer-Encoding: chunked',
    'Content-Encoding: aws-chunked',
    'X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    `X-Amz-Decoded-Content-Length: ${size}`,
    'X-Amz-Trailer: x-amz-checksum-crc32',
  ];
  const chunk = (bytes: string): string => `${bytes.length.toString(16)}\r\n${bytes}\r\n`;

  async function put(size: number): Promise<number | undefined> {
    const coded = `${chunk('x'.repeat(size))}0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n`;
    const body = `${chunk(coded)}0\r\n\r\n`;
    return (await rawCall(edge.port, 'PUT', PART, { token, fields: fieldsOf(size), body }))?.status;
  }

  it('brings it in a field, and its bytes uncoded', async () => {
    upstream.handle(upload());
    expect(await put(100_000)).toBe(200);
    expect(upstream.seen[0]?.headers).toMatchObject({ 'x-amz-checksum-crc32': 'AAAAAA==', 'content-length': '100000' });
    expect(upstream.seen[0]?.bodyBytes()).toBe(100_000);
  });

  it('leaves room for the next when it has been sent, or nobody answers', async () => {
    for (const handle of [upload(), (req: IncomingMessage) => void req.socket.destroy()])
      for (let i = 0; i < 5; i++) {
        upstream.handle(handle);
        await put(8 * MIB);
        expect(upstream.seen.at(-1)?.headers).toHaveProperty('x-amz-checksum-crc32');
      }
  });

  it('cut off again and again reaches no upstream, and leaves room for the next', async () => {
    upstream.handle(upload());
    const intent = async () => (await edge.audit({ event: 'call.admitted', limit: 1 }))[0]?.request_id;
    for (let i = 0; i < 5; i++) {
      const before = await intent();
      const socket = connect({ port: edge.port, host: '127.0.0.1' });
      socket.on('error', () => undefined);
      const lines = [`PUT ${PART} HTTP/1.1`, 'Host: edge', `Authorization: Bearer ${token}`, ...fieldsOf(8 * MIB)];
      socket.write([...lines, '', chunk(`${chunk('x'.repeat(70_000))}`).slice(0, 60_000)].join('\r\n'));
      await until('its intent', async () => (await intent()) !== before);
      await sleep(100);
      socket.destroy();
      expect(await outcomeOfLast()).toMatchObject({ event: 'call.failed', reason: 'client_cancelled' });
    }
    expect(upstream.seen).toEqual([]);
    expect(await put(8 * MIB)).toBe(200);
    expect(upstream.seen[0]?.headers).toHaveProperty('x-amz-checksum-crc32');
  });
});

describe('a HEAD', () => {
  const content = 'hello '.repeat(1000);
  const ask = (method: string) => rawCall(edge.port, method, '/proxy/bank/v1/x', { token });

  it('is answered with the length of what GET would bring', async () => {
    upstream.handle(answer(200, content));
    expect((await ask('HEAD'))?.headers['content-length']).toBe(String(content.length));
    expect((await ask('GET'))?.headers['content-length']).toBe(String(content.length));
  });

  it.each([
    ['gzip', gzipSync(content)],
    ['br', brotliCompressSync(content)],
  ])('of content that comes as %s says nothing of the coded bytes, since GET brings others', async (coding, coded) => {
    upstream.handle(answer(200, coded, { 'content-encoding': coding, 'content-md5': 'x', etag: '"e"' }));
    const head = await ask('HEAD');
    expect(head).toMatchObject({ status: 200, headers: { etag: '"e"' } });
    for (const name of ['content-length', 'content-encoding', 'content-md5'])
      expect(head?.headers).not.toHaveProperty(name);
    expect((await ask('GET'))?.body.toString()).toBe(content);
  });

  it('nor does a 304, with which a cache would relabel what it got decoded', async () => {
    upstream.handle(answer(304, '', { 'content-encoding': 'gzip', etag: '"e"' }));
    const unchanged = await ask('GET');
    expect(unchanged).toMatchObject({ status: 304, headers: { etag: '"e"' } });
    expect(unchanged?.headers).not.toHaveProperty('content-encoding');
  });
});
