import type { IncomingMessage } from 'node:http';
import type * as z from 'zod/mini';
import { Problem } from '../../../src/protocol.ts';
import { Failure, Refusal } from '../failure.ts';
import { Connection } from './connection.ts';
import type { EdgeAddress } from './edge-address.ts';

const TIMEOUT_MS = 30_000;
/** A streamed answer takes as long as it takes, but something of it must come. */
const SILENCE_MS = 120_000;

/** Speaks to the edge's HTTP API as an operator. Every answer is checked against the protocol before it is used. */
export class EdgeClient {
  readonly #address: EdgeAddress;
  readonly #connection: Connection;
  readonly #silenceMs: number;

  constructor(address: EdgeAddress, silenceMs = SILENCE_MS) {
    this.#address = address;
    this.#silenceMs = silenceMs;
    this.#connection = new Connection(new URL(address.url));
  }

  get url(): string {
    return this.#address.url;
  }

  async get<T extends z.ZodMiniType>(
    path: string,
    schema: T,
    query: Readonly<Record<string, string | number | undefined>> = {},
    timeoutMs: number = TIMEOUT_MS,
  ): Promise<z.infer<T>> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
    const suffix = search.size === 0 ? '' : `?${search}`;
    return this.#parsed(await this.#send('GET', path + suffix, null, timeoutMs), schema);
  }

  async post<T extends z.ZodMiniType>(path: string, body: unknown, schema: T): Promise<z.infer<T>> {
    return this.#parsed(await this.#send('POST', path, JSON.stringify(body)), schema);
  }

  /** A streamed answer, chunk by chunk; reading it throws a Failure when it breaks off. */
  async stream(path: string): Promise<AsyncIterable<Uint8Array>> {
    return whole(await this.#send('GET', path, null, null), this.#address);
  }

  async #send(
    method: 'GET' | 'POST',
    path: string,
    body: string | null = null,
    timeoutMs: number | null = TIMEOUT_MS,
  ): Promise<IncomingMessage> {
    const headers = {
      authorization: `Bearer ${this.#address.operatorKey}`,
      ...(body === null ? {} : { 'content-type': 'application/json' }),
    };
    let answer: IncomingMessage;
    try {
      const silenceMs = timeoutMs === null ? this.#silenceMs : null;
      answer = await this.#connection.send(new URL(this.#address.url + path), {
        method,
        headers,
        body,
        timeoutMs,
        silenceMs,
      });
    } catch (error) {
      throw unreachable(this.#address, error as Error);
    }
    const { statusCode = 0 } = answer;
    if (statusCode < 200 || statusCode > 299) throw await refusalOf(this.#address.url, statusCode, answer);
    return answer;
  }

  async #parsed<T extends z.ZodMiniType>(answer: IncomingMessage, schema: T): Promise<z.infer<T>> {
    const said = await text(answer).catch((error) => {
      throw unreachable(this.#address, error);
    });
    let body: unknown;
    try {
      body = JSON.parse(said);
    } catch {
      throw new Failure(`${this.#address.url} answered with something that is not JSON`, 'is this a Keywarden edge?');
    }
    const parsed = schema.safeParse(body);
    if (!parsed.success) {
      throw new Failure(
        `${this.#address.url} answered in a shape this keywarden does not know`,
        'the edge and the command line are of different versions',
      );
    }
    return parsed.data;
  }
}

/** Far above any answer that is not streamed. */
const MOST_BYTES = 32 * 1024 ** 2;

/** One that never ends is not kept to its end. */
async function text(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    size += (chunk as Buffer).length;
    if (size > MOST_BYTES) throw new Error(`its answer is larger than ${MOST_BYTES / 1024 ** 2} MiB`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function* whole(chunks: AsyncIterable<Uint8Array>, address: EdgeAddress): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    throw new Failure(`the answer of ${address.url} broke off: ${(error as Error).message}`, 'try again');
  }
}

function unreachable(address: EdgeAddress, error: NodeJS.ErrnoException): Failure {
  const of = (why: string, hint: string): Failure =>
    new Failure(`the edge at ${address.url} cannot be reached: ${why}`, `found in ${address.source}; ${hint}`);
  const { code = '' } = error;
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return of('what listens there speaks no TLS', 'is the port right?');
  if (code.startsWith('HPE_')) return of('what listens there speaks no HTTP', 'is the port right, or is it https://?');
  // Of several addresses that all refuse, Node's error has a code and no words.
  const cause = error.cause instanceof Error ? error.cause.message : error.message || code;
  return of(cause, 'is it running? keywarden dev starts one');
}

/** By the edge's own code: what of the refusal is the operator's to mend. Others say it themselves. */
const HINTS: Readonly<Record<string, string>> = {
  operator_key_invalid: 'the operator key is not one of this edge; keywarden doctor tells which was used',
  role_missing: 'use the key of an operator who has it, or give it to this one in KEYWARDEN_OPERATORS',
  capability_unknown: 'keywarden policy check lists those that the policies define',
  session_unknown: 'keywarden sessions list',
  approval_unknown: 'keywarden approvals list',
  not_found: 'is the address the edge itself, without a path of its own?',
  agent_unknown: 'policies/agents.yaml says which agents there are',
  capability_not_grantable: 'policies/agents.yaml says who may hold what',
  ttl_too_long: 'policies/agents.yaml says for how long (max_ttl)',
};

async function refusalOf(url: string, status: number, answer: IncomingMessage): Promise<Refusal> {
  const parsed = Problem.safeParse(
    await text(answer)
      .then(JSON.parse)
      .catch(() => null),
  );
  if (!parsed.success)
    return new Refusal(null, `${url} does not answer as an edge does: ${statusWords(url, status, answer)}`, NO_EDGE);
  const { code, detail, message } = parsed.data;
  return new Refusal(code, `the edge refuses: ${detail || message}`, HINTS[code ?? ''] ?? []);
}

const NO_EDGE = 'is the address right? what answers there may be a page, or a proxy before the edge';

/** The place of a redirect without its query, which may be long and say what is nobody's business. */
function statusWords(url: string, status: number, { headers: { location } }: IncomingMessage): string {
  if (location === undefined || !URL.canParse(location, url)) return `status ${status}`;
  const { origin, pathname } = new URL(location, url);
  return `status ${status}, to ${origin}${pathname}`;
}
