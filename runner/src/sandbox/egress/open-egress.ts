import { chmodSync } from 'node:fs';
import type { Agent, IncomingMessage, RequestOptions, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { BASE_FIELD } from '../../../../src/protocol.ts';
import { Failure } from '../../failure.ts';
import { http, https } from '../../node-http.ts';
import { passingFields } from './fields.ts';
import { mayPass } from './paths.ts';
import { answerNotOffered, answerUnreachable } from './problems.ts';

export interface Egress {
  close(): Promise<void>;
}

/** An agent that opens more at once waits; it can neither exhaust the runner's descriptors nor the edge's. */
const MOST_CONNECTIONS = 128;
/** Node's 16 KiB, both ways, are less than the edge takes (32 KiB of fields, and the target) and than services answer. */
const LARGEST_HEAD = 128 * 1024;
/** sun_path of unix(7), its final zero excluded. */
const LONGEST_SOCKET_PATH = 107;

/**
 * The only way out of a sandbox: HTTP on a unix socket (mode 0600), to this edge's agent paths and nowhere else. TLS to an
 * https edge begins here; request target, fields and bodies go through as they came, both ways as they arrive. The
 * edge is told by which address it was asked: its own is not reachable from inside.
 *
 * @param edgeUrl  The edge's base; null: there is none, and every request is told so.
 * @throws {Failure} when the socket's path is too long or cannot be made.
 */
export async function openEgress(socket: string, edgeUrl: string | null): Promise<Egress> {
  if (Buffer.byteLength(socket) > LONGEST_SOCKET_PATH)
    throw new Failure(`the path of a unix socket is too long: ${socket}`, 'a shorter --state DIR');
  const edge = edgeUrl === null ? null : new URL(edgeUrl);
  const agent = agentFor(edge);
  // Node's 300 s for a whole request would cut long uploads; the session's deadline bounds them.
  const bounds = { requestTimeout: 0, headersTimeout: 30_000, maxHeaderSize: LARGEST_HEAD };
  const server = http.createServer(bounds, (incoming, outgoing) => {
    outgoing.sendDate = false;
    if (!mayPass(incoming.method ?? '', incoming.url ?? '')) answerNotOffered(outgoing);
    else if (edge === null || agent === null) answerUnreachable(outgoing, 'this sandbox has no edge');
    else forward(edge, agent, incoming, outgoing);
  });
  server.maxConnections = MOST_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new Failure(`cannot listen on ${socket}: ${error.message}`)));
    server.listen(socket, resolve);
  });
  chmodSync(socket, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        agent?.destroy();
      }),
  };
}

/**
 * A connection a request: one that is kept may be closed by the edge just as the next request is written on it, and what was
 * perhaps done must not be sent again.
 */
function agentFor(edge: URL | null): Agent | null {
  if (edge === null) return null;
  const options = { keepAlive: false, maxSockets: MOST_CONNECTIONS };
  return edge.protocol === 'https:' ? new (https().Agent)(options) : new http.Agent(options);
}

function forward(edge: URL, agent: Agent, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const options: RequestOptions = {
    agent,
    hostname: edge.hostname.replace(/^\[|\]$/g, ''),
    port: edge.port,
    method: incoming.method ?? 'GET',
    path: incoming.url ?? '/',
    setHost: false,
    maxHeaderSize: LARGEST_HEAD,
    headers: [
      ...passingFields(incoming.rawHeaders, true),
      'Host',
      edge.host,
      ...(incoming.headers.host === undefined ? [] : [BASE_FIELD, `http://${incoming.headers.host}`]),
      ...framing(incoming),
      'Connection',
      'close',
    ],
  };
  const upstream = edge.protocol === 'https:' ? https().request(options) : http.request(options);
  upstream.on('socket', takeEarlyAnswers);
  upstream.on('response', (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', passingFields(answer.rawHeaders, false));
    // Events of a stream must not wait for the first byte of its body.
    outgoing.flushHeaders();
    pipeline(answer, outgoing, () => {});
  });
  upstream.on('error', (error: NodeJS.ErrnoException) => {
    // What breaks off is broken off here, too, by the pipeline; what came whole has come.
    if (!outgoing.headersSent) answerUnreachable(outgoing, `the edge cannot be reached (${error.code ?? 'error'})`);
  });
  outgoing.on('close', () => {
    // What is left of a body that nobody wants is taken off, or the agent would not get to the answer.
    incoming.unpipe(upstream).resume();
    upstream.destroy();
  });
  incoming.on('error', () => upstream.destroy());
  incoming.pipe(upstream);
}

/**
 * Who refuses a large upload answers, and ends the connection, while it is still being sent. Node would end the socket at the first
 * write that fails and with it the answer, which has come. So a write that nobody takes is none that failed: what comes next,
 * the answer or the end, says how it went.
 */
function takeEarlyAnswers(socket: Socket): void {
  for (const name of ['_write', '_writev'] as const) {
    const write = socket[name] as ((...all: unknown[]) => void) | undefined;
    if (write === undefined) continue;
    socket[name] = (...all: unknown[]): void => {
      const done = all.pop() as (error?: NodeJS.ErrnoException | null) => void;
      write.call(socket, ...all, (error?: NodeJS.ErrnoException | null) =>
        done(error?.code === 'EPIPE' || error?.code === 'ECONNRESET' ? null : error),
      );
    };
  }
}

/** A body of unknown length goes on in chunks; one of a known length keeps its Content-Length. */
const framing = (incoming: IncomingMessage): string[] =>
  incoming.headers['transfer-encoding'] === undefined ? [] : ['Transfer-Encoding', 'chunked'];
