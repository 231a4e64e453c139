import { connect, type Socket } from 'node:net';

/** An HTTP/1.1 response as it came over the wire. */
export interface RawResponse {
  readonly status: number;
  readonly statusText: string;
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
  /** By lower-case name; repeated fields joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  /** Chunked transfer coding undone. */
  readonly body: Buffer;
  /** All bytes. */
  readonly wire: Buffer;
}

export interface RawOptions {
  readonly timeoutMs?: number;
  /** Milliseconds between the pieces. */
  readonly everyMs?: number;
}

/**
 * Sends bytes as they are, which no HTTP client would, and reads one response.
 *
 * @param pieces  strings are Latin-1: one character, one byte. Several are sent one after the other.
 * @returns null when the server closed the connection without an answer.
 */
export function sendRaw(
  port: number,
  pieces: string | Uint8Array | readonly (string | Uint8Array)[],
  options: RawOptions = {},
): Promise<RawResponse | null> {
  const list = typeof pieces === 'string' || pieces instanceof Uint8Array ? [pieces] : pieces;
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const received: Buffer[] = [];
    const head = /^HEAD /.test(latin1Of(list[0] ?? ''));
    const finish = (result: RawResponse | null): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(options.timeoutMs ?? 15_000, () => {
      socket.destroy();
      reject(
        new Error(`no whole response in time; so far: ${Buffer.concat(received).toString('latin1').slice(0, 500)}`),
      );
    });
    socket.on('data', (data) => {
      received.push(data);
      const parsed = parseResponse(Buffer.concat(received), { head, ended: false });
      if (parsed !== null) finish(parsed);
    });
    socket.on('end', () => finish(parseResponse(Buffer.concat(received), { head, ended: true })));
    // Reset after an answer is still an answer: it is parsed at 'close'.
    socket.on('error', () => {});
    socket.on('close', () => finish(parseResponse(Buffer.concat(received), { head, ended: true })));
    void writeAll(socket, list, options.everyMs ?? 0);
  });
}

/** Builds a request byte by byte: the target and the field lines are sent as written. */
export function rawRequest(method: string, target: string, fields: readonly string[] = [], body = ''): string {
  return [`${method} ${target} HTTP/1.1`, ...fields, '', body].join('\r\n');
}

/**
 * A request to the edge with the host named and the token in `Authorization`; everything else as the test writes it.
 * `Content-Length` is added for a body unless the fields say how the body is framed.
 */
export function rawCall(
  port: number,
  method: string,
  target: string,
  {
    token,
    fields = [],
    body = '',
    ...options
  }: RawOptions & { readonly token?: string; readonly fields?: readonly string[]; readonly body?: string } = {},
): Promise<RawResponse | null> {
  const framed = fields.some((f) => /^(content-length|transfer-encoding)\s*:/i.test(f));
  const lines = [
    `Host: 127.0.0.1:${port}`,
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    ...fields,
    ...(body === '' || framed ? [] : [`Content-Length: ${Buffer.byteLength(body, 'latin1')}`]),
    'Connection: close',
  ];
  return sendRaw(port, rawRequest(method, target, lines, body), options);
}

async function writeAll(socket: Socket, pieces: readonly (string | Uint8Array)[], everyMs: number): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return;
    socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
    if (everyMs > 0) await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

const latin1Of = (piece: string | Uint8Array): string =>
  typeof piece === 'string' ? piece : Buffer.from(piece).toString('latin1');

/** @returns null while it is not whole. */
function parseResponse(wire: Buffer, { head, ended }: { head: boolean; ended: boolean }): RawResponse | null {
  const end = wire.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [statusLine = '', ...lines] = wire.subarray(0, end).toString('latin1').split('\r\n');
  const match = /^HTTP\/1\.[01] (\d{3}) ?(.*)$/.exec(statusLine);
  if (match === null) return null;
  const status = Number(match[1]);
  if (status >= 100 && status < 200 && status !== 101) return parseResponse(wire.subarray(end + 4), { head, ended });
  const rawHeaders = lines.flatMap((line) => [
    line.slice(0, line.indexOf(':')),
    line.slice(line.indexOf(':') + 1).trim(),
  ]);
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase();
    headers[name] = headers[name] === undefined ? (rawHeaders[i + 1] ?? '') : `${headers[name]}, ${rawHeaders[i + 1]}`;
  }
  const rest = wire.subarray(end + 4);
  const body = bodyIn(rest, headers, { none: head || status === 204 || status === 304, ended });
  return body === null ? null : { status, statusText: match[2] ?? '', rawHeaders, headers, body, wire };
}

function bodyIn(
  rest: Buffer,
  headers: Readonly<Record<string, string>>,
  { none, ended }: { none: boolean; ended: boolean },
): Buffer | null {
  if (none) return Buffer.alloc(0);
  if (/chunked/i.test(headers['transfer-encoding'] ?? '')) return dechunk(rest, ended);
  const length = headers['content-length'];
  if (length !== undefined && rest.length >= Number(length)) return rest.subarray(0, Number(length));
  return ended ? rest : null;
}

function dechunk(rest: Buffer, ended: boolean): Buffer | null {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const eol = rest.indexOf('\r\n', at);
    if (eol < 0) return ended ? Buffer.concat(parts) : null;
    const size = Number.parseInt(rest.subarray(at, eol).toString('latin1'), 16);
    if (size === 0) return Buffer.concat(parts);
    if (rest.length < eol + 2 + size + 2)
      return ended ? Buffer.concat([...parts, rest.subarray(eol + 2, eol + 2 + size)]) : null;
    parts.push(rest.subarray(eol + 2, eol + 2 + size));
    at = eol + 2 + size + 2;
  }
}
