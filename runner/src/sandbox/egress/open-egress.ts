import { chmodSync } from 'node:fs';
import type { Agent, IncomingMessage, RequestOptions, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { BASE_FIELD } from '../../../../src/protocol.ts';
import { Failure } from '../../failure.ts';
import { http, https } from '../../node-http.ts';
import { Connections } from './connections.ts';
import { passingFields } from './fields.ts';
import { mayPass } from './paths.ts';
import { answerNotOffered, answerTooMany, answerUnreachable } from './problems.ts';
import { Turns } from './turns.ts';

export interface Egress {
  close(): Promise<void>;
}

/** Node's 16 KiB, both ways, are less than the edge takes (32 KiB of fields, and the target) and than services answer. */
const LARGEST_HEAD = 128 * 1024;

/** An agent can exhaust neither the runner's descriptors nor the edge's, and is told so: it waits for nothing without an end. */
export interface EgressBounds {
  /** A new one takes the place of one that is silent; when requests are under way on so many, it gets a 503. */
  readonly connections: number;
  /** A connection that is silent for less keeps its place. */
  readonly silentMs: number;
  /** How many requests are with the edge at once. The next one waits. */
  readonly requests: number;
  /** For so long; then it gets a 503. */
  readonly waitMs: number;
}

/** The helper has room for 480 connections (`MOST_WAYS` in forward.c): what is to be told is told here. */
const BOUNDS: EgressBounds = { connections: 448, silentMs: 1_000, requests: 128, waitMs: 30_000 };
/**
 * An agent with the runner's own uid can come past the helper, to our socket itself: who comes then is not let in. The helper's
 * own may all have gone and come again before we learn of it.
 */
const MOST_AT_ALL = 1_024;
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
export async function openEgress(
  socket: string,
  edgeUrl: string | null,
  bounds: EgressBounds = BOUNDS,
): Promise<Egress> {
  if (Buffer.byteLength(socket) > LONGEST_SOCKET_PATH)
    throw new Failure(`the path of a unix socket is too long: ${socket}`, 'a shorter --state DIR');
  const edge = edgeUrl === null ? null : new URL(edgeUrl);
  const agent = agentFor(edge);
  const connections = new Connections(bounds.connections, bounds.silentMs);
  const turns = new Turns(bounds.requests);
  // Node's 300 s for a whole request would cut long uploads; the session's deadline bounds them.
  const options = { requestTimeout: 0, headersTimeout: 30_000, maxHeaderSize: LARGEST_HEAD };
  const server = http.createServer(options, (incoming, outgoing) => {
    outgoing.sendDate = false;
    // What else came with the request that it was ended for is not read.
    if (incoming.socket.destroyed) return;
    const known = connections.asked(incoming.socket);
    if (known === 'ahead') return void incoming.socket.destroy();
    outgoing.once('close', () => connections.answered(incoming.socket));
    if (known === 'full')
      answerTooMany(outgoing, `${bounds.connections} connections are open, and a request is under way on each`);
    else if (!mayPass(incoming.method ?? '', incoming.url ?? '')) answerNotOffered(outgoing);
    else if (edge === null || agent === null) answerUnreachable(outgoing, 'this sandbox has no edge');
    else atItsTurn(outgoing, turns, bounds, () => forward(edge, agent, incoming, outgoing));
  });
  server.maxConnections = MOST_AT_ALL;
  server.on('connection', (client) => connections.opened(client));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Failure(`cannot listen on ${socket}: ${error.message}`, 'another --state DIR')),
    );
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
  const options = { keepAlive: false };
  return edge.protocol === 'https:' ? new (https().Agent)(options) : new http.Agent(options);
}

function atItsTurn(outgoing: ServerResponse, turns: Turns, { requests, waitMs }: EgressBounds, go: () => void): void {
  let [goes, waiting] = [false, undefined as NodeJS.Timeout | undefined];
  const done = turns.take(() => {
    goes = true;
    clearTimeout(waiting);
    go();
  });
  outgoing.once('close', () => {
    clearTimeout(waiting);
    done();
  });
  if (goes) return;
  waiting = setTimeout(() => {
    done();
    answerTooMany(outgoing, `${requests} requests are with the edge, and for a while none of them has ended`);
  }, waitMs);
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
