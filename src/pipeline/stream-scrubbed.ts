import { type Fault, fault } from '../fault.ts';
import { joined } from '../lib/joined.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { Scrubber, ScrubRun } from '../upstream/scrub/scrubber.ts';
import type { Forwarded } from './call.ts';

/** How a response body ended. */
export interface BodyEnd {
  /** Bytes given to the client. */
  readonly bytes: number;
  readonly redactions: number;
  /** Null when it ended as it should. */
  readonly fault: Fault | null;
}

export interface BodyOptions {
  /** Null when the policy switched scrubbing off. */
  readonly scrubber: Scrubber | null;
  /** Hits so far, in the header section. */
  readonly redactions: number;
  /** Exact length of the upstream's body, if known. */
  readonly length: number | null;
  /** A coding is undone on the way: what is no such coding must become a fault, not a broken 200. */
  readonly coded: boolean;
  /** The fault that any content is, when it must be scrubbed and nobody can take its coding off: only if there is none, the answer may pass. */
  readonly opaque: Fault | null;
  readonly onEnd: (end: BodyEnd) => void;
}

export interface ScrubbedBody {
  readonly body: Uint8Array | ReadableStream<Uint8Array>;
  /** Exact length for Content-Length, or null to let the server frame it. */
  readonly length: number | null;
}

/** A body of a known length up to this is waited for. */
const MAX_WHOLE_BYTES = 16_384;

/**
 * Reads the upstream's body with backpressure: nothing is read ahead of what the client takes, so that memory stays
 * bounded however long the body is, and every chunk passes as it comes (server-sent events too).
 */
export async function streamScrubbed(forwarded: Forwarded, options: BodyOptions): Promise<Result<ScrubbedBody, Fault>> {
  const { response, injected } = forwarded;
  const { length } = options;
  if (length !== null && length <= MAX_WHOLE_BYTES && !isEventStream(response.headers))
    return wholeScrubbed(forwarded, length, options);

  const { call, policy } = injected.admitted.authorized;
  const source = new BodySource(forwarded, response.body as ReadableStream<Uint8Array>, policy.idleTimeoutMs);
  if (options.coded) {
    // Of a coding that it takes off, the runtime's error says the same of nothing at all as of a beginning that was cut off: a fault.
    const first = await source.read();
    if (!first.ok) return err(first.error);
    if (first.value !== null && options.opaque !== null) {
      source.abort();
      return err(options.opaque);
    }
    if (first.value !== null) source.unread(first.value);
  }
  return ok(streamed(source, options, forwarded.clientGone, call.ctx));
}

/** A small body is read at once, in one step of the runtime: half the cost of a stream. */
async function wholeScrubbed(
  forwarded: Forwarded,
  length: number,
  options: BodyOptions,
): Promise<Result<ScrubbedBody, Fault>> {
  const { deadline, injected, response } = forwarded;
  const { idleTimeoutMs } = injected.admitted.authorized.policy;
  deadline.extend(idleTimeoutMs);
  try {
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes.byteLength !== length) return err(fault('upstream_protocol_error', 'the body ended early'));
    const clean = options.scrubber?.bytes(bytes) ?? { bytes, hits: 0 };
    options.onEnd({ bytes: clean.bytes.byteLength, redactions: options.redactions + clean.hits, fault: null });
    return ok({ body: clean.bytes, length: clean.bytes.byteLength });
  } catch {
    if (deadline.passed) return err(fault('upstream_timeout', `silent for ${idleTimeoutMs} ms`));
    if (forwarded.clientGone()) return err(CLIENT_GONE);
    return err(fault('upstream_protocol_error', 'the body broke off'));
  } finally {
    deadline.clear();
  }
}

const isEventStream = (headers: Headers): boolean => /^text\/event-stream/i.test(headers.get('content-type') ?? '');

/**
 * Pumps the body through the runtime's own streams: one buffer goes round, a chunk is written before the next is read, and
 * nothing queues in JavaScript.
 */
function streamed(
  source: BodySource,
  { scrubber, redactions, length, onEnd }: BodyOptions,
  clientGone: () => boolean,
  ctx: ExecutionContext,
): ScrubbedBody {
  const scrub: ScrubRun | null = scrubber?.start({ keepLength: length !== null }) ?? null;
  const pipe = length === null ? new IdentityTransformStream() : new FixedLengthStream(length);
  const writer = pipe.writable.getWriter();
  let bytes = 0;
  let broken: Fault | null = null;

  const write = async (pieces: readonly Uint8Array[]): Promise<boolean> => {
    if (pieces.length === 0) return true;
    // In one piece: between many redactions there are as many, and each write costs as much as the scrubbing of a page.
    const chunk = pieces.length === 1 ? (pieces[0] as Uint8Array) : joined(pieces);
    try {
      await writer.write(chunk);
    } catch {
      // Nobody reads any more.
      broken = CLIENT_GONE;
      source.abort();
      return false;
    }
    bytes += chunk.byteLength;
    return true;
  };
  const pump = async (): Promise<void> => {
    for (;;) {
      const read = await source.read();
      if (!read.ok) {
        broken = clientGone() ? CLIENT_GONE : read.error;
        // The client must see a broken body, not a short one that looks whole.
        await writer.abort(new Error(broken.code)).catch(() => undefined);
        return;
      }
      if (read.value === null) {
        if (await write(scrub?.end() ?? [])) await writer.close().catch(() => undefined);
        return;
      }
      if (!(await write(scrub?.push(read.value) ?? [read.value]))) return;
    }
  };
  ctx.waitUntil(pump().finally(() => onEnd({ bytes, redactions: redactions + (scrub?.hits ?? 0), fault: broken })));
  return { body: pipe.readable, length };
}

const CLIENT_GONE = fault('client_cancelled', 'before the answer had been sent whole');

/** Bytes asked for at once; the runtime gives what has come. */
const READ_BYTES = 65_536;

/** The upstream's body, read with a bound on its silence. A chunk is valid until the next read: its buffer is used again. */
class BodySource {
  readonly #forwarded: Forwarded;
  readonly #idleTimeoutMs: number;
  readonly #reader: ReadableStreamBYOBReader;
  #buffer = new ArrayBuffer(READ_BYTES);
  #unread: Uint8Array | null = null;
  #ended = false;

  constructor(forwarded: Forwarded, body: ReadableStream<Uint8Array>, idleTimeoutMs: number) {
    this.#forwarded = forwarded;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#reader = body.getReader({ mode: 'byob' });
  }

  /** @returns The next chunk, null at the end, or why there is none. */
  async read(): Promise<Result<Uint8Array | null, Fault>> {
    if (this.#unread !== null) {
      const chunk = this.#unread;
      this.#unread = null;
      return ok(chunk);
    }
    if (this.#ended) return ok(null);
    const { deadline } = this.#forwarded;
    deadline.extend(this.#idleTimeoutMs);
    try {
      const { done, value } = await this.#reader.read(new Uint8Array(this.#buffer));
      if (done || value === undefined) {
        // The buffer went with the last read: there can be no other.
        this.#ended = true;
        deadline.clear();
        return ok(null);
      }
      // How long the client takes is no silence of the upstream.
      deadline.pause();
      this.#buffer = value.buffer as ArrayBuffer;
      return ok(value);
    } catch {
      deadline.clear();
      if (deadline.passed) return err(fault('upstream_timeout', `silent for ${this.#idleTimeoutMs} ms`));
      return err(fault('upstream_protocol_error', 'the body broke off or could not be decoded'));
    }
  }

  unread(chunk: Uint8Array): void {
    this.#unread = chunk;
  }

  abort(): void {
    this.#forwarded.abort();
    this.#reader.cancel().catch(() => undefined);
  }
}
