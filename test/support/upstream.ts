import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

/** Exactly what arrived. */
export interface Seen {
  readonly method: string;
  /** The raw request target. */
  readonly target: string;
  /** Names and values in turn, as sent. */
  readonly rawHeaders: readonly string[];
  /** By lower-case name; repeated fields joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  /** The first bytes of the body, up to the upstream's `keepBytes`. */
  readonly body: () => Buffer;
  /** How many bytes of body came in all. */
  readonly bodyBytes: () => number;
  /** Hex SHA-256 of the whole body; of what came when it broke off. */
  readonly bodySha256: () => string;
  /** Resolves when the request was received whole, or broke off. */
  readonly received: Promise<'whole' | 'broken'>;
  /** Resolves when the connection closed, or the answer was sent whole. */
  readonly closed: Promise<'answered' | 'cut'>;
  /** Unix ms of the header section. */
  readonly at: number;
}

/** Answers one request. The body may be read from `req` as well: recording does not consume it. */
export type Handler = (req: IncomingMessage, res: ServerResponse, seen: Seen) => unknown;

export interface Upstream {
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
  readonly port: number;
  /** What was seen since the start or the last `forget`, oldest first. */
  readonly seen: readonly Seen[];
  readonly forget: () => void;
  /** From now on. */
  readonly handle: (handler: Handler) => void;
  /** How many connections it has had. */
  readonly connections: () => number;
  readonly stop: () => Promise<void>;
}

/** A real HTTP server on loopback that remembers exactly what it was sent. */
export async function startUpstream(
  handler: Handler = echo(),
  { keepBytes = 4 * 1024 * 1024 } = {},
): Promise<Upstream> {
  let current = handler;
  let connections = 0;
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (req, res) => {
    const one = record(req, res, keepBytes);
    seen.push(one);
    Promise.resolve()
      .then(() => current(req, res, one))
      .catch((error: Error) => {
        if (res.headersSent) return void res.destroy();
        res.writeHead(599, { 'content-type': 'text/plain' }).end(`the test's handler failed: ${error.stack}`);
      });
  });
  // "Expect: 100-continue" and an upgrade are requests like any other here.
  server.on('checkContinue', (req, res: ServerResponse) => {
    res.writeContinue();
    server.emit('request', req, res);
  });
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    seen,
    forget: () => void seen.splice(0),
    handle(next) {
      current = next;
    },
    connections: () => connections,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function record(req: IncomingMessage, res: ServerResponse, keepBytes: number): Seen {
  const kept: Buffer[] = [];
  const hash = createHash('sha256');
  let bytes = 0;
  let keptBytes = 0;
  // A listener of 'data' would start the flow before the handler can pipe: watch what is pushed instead.
  const push = req.push.bind(req);
  req.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
    if (chunk !== null) {
      bytes += chunk.length;
      hash.update(chunk);
      if (keptBytes < keepBytes) {
        kept.push(Buffer.from(chunk.subarray(0, keepBytes - keptBytes)));
        keptBytes += kept.at(-1)?.length ?? 0;
      }
    }
    return push(chunk, encoding);
  };
  req.on('error', () => {});
  return {
    method: req.method ?? '',
    target: req.url ?? '',
    rawHeaders: [...req.rawHeaders],
    headers: Object.fromEntries(
      Object.entries(req.headersDistinct).map(([name, values]) => [name, (values ?? []).join(', ')]),
    ),
    body: () => Buffer.concat(kept),
    bodyBytes: () => bytes,
    bodySha256: () => hash.copy().digest('hex'),
    received: new Promise((resolve) => {
      req.on('end', () => resolve('whole'));
      req.on('close', () => resolve(req.complete ? 'whole' : 'broken'));
    }),
    closed: new Promise((resolve) => res.on('close', () => resolve(res.writableFinished ? 'answered' : 'cut'))),
    at: Date.now(),
  };
}

/** Reads the whole body; needed before an answer that depends on it. */
export async function bodyOf(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** One answer, whole. The body is drained first, so that the connection can be used again. */
export function answer(
  status: number,
  body: string | Uint8Array = '',
  headers: Readonly<Record<string, string | string[]>> = {},
): Handler {
  return (req, res) => {
    req.resume();
    res.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
    res.end(req.method === 'HEAD' ? undefined : body);
  };
}

export const json = (value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Handler =>
  answer(status, JSON.stringify(value), { 'content-type': 'application/json', ...headers });

/** Answers with what came: `{ method, target, headers, body }`, the body in base64. */
export function echo(): Handler {
  return async (req, res, seen) => {
    const body = await bodyOf(req);
    const text = JSON.stringify({
      method: seen.method,
      target: seen.target,
      headers: seen.rawHeaders,
      body: body.toString('base64'),
    });
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    res.end(req.method === 'HEAD' ? undefined : text);
  };
}

/** First byte after `headMs`, then each chunk after `everyMs`. */
export function slow(
  chunks: readonly (string | Uint8Array)[],
  { headMs = 0, everyMs = 100, headers = {} as Record<string, string> } = {},
): Handler {
  return async (req, res) => {
    req.resume();
    await new Promise((resolve) => setTimeout(resolve, headMs));
    res.writeHead(200, { 'content-type': 'application/octet-stream', ...headers });
    res.flushHeaders();
    for (const chunk of chunks) {
      await new Promise((resolve) => setTimeout(resolve, everyMs));
      if (res.destroyed) return;
      res.write(chunk);
    }
    res.end();
  };
}

/** Server-sent events, each in a chunk of its own. */
export const sse = (events: readonly string[], everyMs = 50): Handler =>
  slow(events, { everyMs, headers: { 'content-type': 'text/event-stream' } });

/** Takes the request and never answers. */
export const hang = (): Handler => (req) => void req.resume();

/** Sends the header section and some bytes, and then nothing more, for ever. */
export function stall(bytes: string, headers: Readonly<Record<string, string>> = {}): Handler {
  return (req, res) => {
    req.resume();
    res.writeHead(200, { 'content-type': 'application/octet-stream', ...headers });
    res.write(bytes);
  };
}

/** Cuts the connection (TCP RST), `afterBytes` sent before when given. */
export function reset(afterBytes?: string): Handler {
  return (req, res) => {
    if (afterBytes === undefined) return void req.socket.resetAndDestroy();
    res.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': String(afterBytes.length + 1000),
    });
    res.write(afterBytes, () => setTimeout(() => req.socket.resetAndDestroy(), 20));
  };
}

/** These very bytes in the place of a response, and then the end of the connection unless it is to stay open. */
export function garbage(bytes: string | Uint8Array, { keepOpen = false } = {}): Handler {
  return (req) => {
    req.resume();
    req.socket.write(bytes);
    if (!keepOpen) req.socket.end();
  };
}

export const gzip = (body: string, headers: Readonly<Record<string, string>> = {}): Handler =>
  answer(200, gzipSync(body), { 'content-type': 'text/plain', 'content-encoding': 'gzip', ...headers });

/** So many bytes, as fast as they are taken, none held in memory. */
export function download(bytes: number, headers: Readonly<Record<string, string>> = {}): Handler {
  const chunk = Buffer.alloc(64 * 1024, 'keywarden ');
  return (req, res) => {
    req.resume();
    res.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': String(bytes), ...headers });
    let left = bytes;
    const more = (): void => {
      while (left > 0 && !res.destroyed) {
        const part = left < chunk.length ? chunk.subarray(0, left) : chunk;
        left -= part.length;
        if (!res.write(part)) return void res.once('drain', more);
      }
      res.end();
    };
    more();
  };
}

/** Takes an upload of any size, and answers with its length and SHA-256. */
export function upload(): Handler {
  return async (req, res, seen) => {
    req.resume();
    await seen.received;
    json({ bytes: seen.bodyBytes(), sha256: seen.bodySha256() })(req, res, seen);
  };
}

/** A resource that knows single byte ranges (RFC 9110 §14). */
export function ranged(content: Buffer, headers: Readonly<Record<string, string>> = {}): Handler {
  return (req, res, seen) => {
    const range = /^bytes=(\d+)-(\d*)$/.exec(seen.headers.range ?? '');
    if (range === null) return answer(200, content, { 'accept-ranges': 'bytes', ...headers })(req, res, seen);
    const from = Number(range[1]);
    const to = range[2] === '' ? content.length - 1 : Math.min(Number(range[2]), content.length - 1);
    if (from > to) return answer(416, '', { 'content-range': `bytes */${content.length}` })(req, res, seen);
    return answer(206, content.subarray(from, to + 1), {
      'content-range': `bytes ${from}-${to}/${content.length}`,
      ...headers,
    })(req, res, seen);
  };
}
