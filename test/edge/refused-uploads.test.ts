import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestEdge, type TestEdge } from '../support/edge.ts';
import { sleep } from '../support/process.ts';
import { rawRequest } from '../support/raw.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const MIB = 1024 * 1024;
const CHUNK = Buffer.alloc(64 * 1024, 'x');
const CHUNKED = Buffer.concat([Buffer.from(`${CHUNK.length.toString(16)}\r\n`), CHUNK, Buffer.from('\r\n')]);
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
  pay:
    allow: POST /v1/payments
    when: body.amount <= 5000
`,
      'queue.yaml': `service: queue
origin: ${upstream.origin}
credential: { scheme: sigv4, accessKeyId: AWS_ID, secretAccessKey: AWS_SECRET, region: eu-central-1, service: sqs }
capabilities:
  send:
    allow: POST /v1/messages
`,
    },
    vars: {
      BANK_KEY: 'sk_live_uploads_0123456789',
      AWS_ID: 'AKIAUPLOADSTEST00001',
      AWS_SECRET: 'wUploadsSecretK7MDENGbPxRfiCYTESTKEY0001',
    },
  });
  token = await edge.mint('uploader', ['bank:pay', 'queue:send']);
});
afterAll(async () => {
  await edge?.stop();
  await upstream?.stop();
});

interface Upload {
  readonly path: string;
  readonly fields?: readonly string[];
  readonly anonymous?: boolean;
}

/** The header section of an upload, sent; nothing is read yet. */
async function begin({ path, fields = [], anonymous = false }: Upload): Promise<Socket> {
  const socket = connect(edge.port, '127.0.0.1');
  socket.pause();
  await once(socket, 'connect');
  const lines = ['Host: edge', 'Content-Type: application/json', ...fields];
  if (!anonymous) lines.push(`Authorization: Bearer ${token}`);
  socket.write(rawRequest('POST', path, lines));
  return socket;
}

/** As much as is taken; rejects when the connection breaks. */
async function send(socket: Socket, chunk: Buffer, times: number): Promise<void> {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  for (let i = 0; i < times; i++) {
    if (socket.destroyed) throw new Error('the connection is closed');
    if (!socket.write(chunk)) await once(socket, 'drain', { signal: gone.signal });
  }
}

/** What comes, until it holds this or the connection ends. */
async function readUntil(socket: Socket, text: string): Promise<string> {
  let read = '';
  for await (const data of socket.setEncoding('latin1')) {
    read += data;
    if (read.includes(text)) break;
  }
  return read;
}

const SIZE = 30 * MIB;
const LENGTH = [`Content-Length: ${SIZE}`];
const refusals: [string, Upload, number, string][] = [
  ['no token', { path: '/proxy/bank/v1/payments', anonymous: true }, 401, 'token_missing'],
  ['an operation that nothing allows', { path: '/proxy/bank/v1/else' }, 403, 'operation_not_allowed'],
  ['a body that is too large for the rule that reads it', { path: '/proxy/bank/v1/payments' }, 413, 'body_refused'],
  ['a body that is too large to be signed', { path: '/proxy/queue/v1/messages' }, 400, 'request_unsignable'],
  ['no operator key', { path: '/v1/tokens', anonymous: true }, 401, 'operator_key_invalid'],
  ['nothing there', { path: '/nothing', anonymous: true }, 404, 'not_found'],
];

describe('a client that reads no answer before it has sent all of 30 MiB hears of the refusal', () => {
  it.each(refusals)('%s', async (_, upload, status, code) => {
    for (const framing of ['length', 'chunked']) {
      const fields = framing === 'length' ? LENGTH : ['Transfer-Encoding: chunked'];
      const socket = await begin({ ...upload, fields });
      await send(socket, framing === 'length' ? CHUNK : CHUNKED, SIZE / CHUNK.length);
      if (framing === 'chunked') socket.write('0\r\n\r\n');
      const text = await readUntil(socket, '}');
      expect(text, framing).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(text, framing).toContain(`"code":"${code}"`);
      expect(upstream.seen, framing).toEqual([]);
    }
  });
});

describe('what is read of a refused upload', () => {
  const refused: Upload = { path: '/proxy/bank/v1/payments', anonymous: true, fields: LENGTH };

  it('holds up no answer: it is there, whole, while the upload stands still', async () => {
    const socket = await begin(refused);
    await send(socket, CHUNK, 4);
    const started = Date.now();
    const text = await readUntil(socket, '}');
    expect(Date.now() - started).toBeLessThan(3_000);
    const [head = '', body = ''] = text.split('\r\n\r\n');
    expect(head).toMatch(/^content-length: \d+$/im);
    expect(JSON.parse(body)).toMatchObject({ status: 401, code: 'token_missing' });
    socket.destroy();
  });

  it('ends with it, so that the connection can be used again', async () => {
    const socket = await begin({ ...refused, fields: [`Content-Length: ${MIB}`] });
    await send(socket, CHUNK, MIB / CHUNK.length);
    socket.write(rawRequest('GET', '/healthz', ['Host: edge', 'Connection: close']));
    const text = await readUntil(socket, 'nothing more');
    expect(text.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 401', 'HTTP/1.1 200']);
  });

  it('is bounded in bytes', async () => {
    const socket = await begin({ ...refused, fields: [`Content-Length: ${1024 * MIB}`] });
    socket.on('error', () => undefined);
    socket.resume();
    await send(socket, CHUNK, (1024 * MIB) / CHUNK.length).catch(() => undefined);
    // 64 MiB, and what the kernel's buffers hold of both ends.
    expect(socket.bytesWritten - socket.writableLength).toBeLessThan(80 * MIB);
  });

  it('is bounded in time, however slowly it comes', async () => {
    const socket = await begin(refused);
    const started = Date.now();
    let over = false;
    socket.on('error', () => undefined);
    socket.on('close', () => {
      over = true;
    });
    socket.resume();
    while (!over && Date.now() - started < 30_000) {
      socket.write('x');
      await sleep(200);
    }
    expect(Date.now() - started).toBeGreaterThan(8_000);
    expect(Date.now() - started).toBeLessThan(15_000);
  });

  it('leaves nothing hanging when it breaks off, or is no body at all', async () => {
    for (const body of ['5\r\nab', 'zz\r\n']) {
      const socket = await begin({ ...refused, fields: ['Transfer-Encoding: chunked'] });
      socket.write(body);
      expect(await readUntil(socket, '}')).toMatch(/^HTTP\/1\.1 401 /);
    }
    // What hangs the runtime tells as soon as nothing is left to wait for.
    await sleep(1_000);
    expect(edge.logs()).not.toContain('had hung');
  });

  it('is nothing when the client waits for leave to send it', async () => {
    const socket = await begin({ ...refused, fields: [...LENGTH, 'Expect: 100-continue'] });
    const started = Date.now();
    const text = await readUntil(socket, 'nothing more');
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
    expect(Date.now() - started).toBeLessThan(5_000);
  });
});
