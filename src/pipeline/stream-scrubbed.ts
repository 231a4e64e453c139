import { type Fault, type FaultCode, fault } from '../fault.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { Scrubber, ScrubRun } from '../upstream/scrub/scrubber.ts';
import type { Forwarded } from './call.ts';

/** How a response body ended. */
export interface BodyEnd {
  /** Bytes given to the client. */
  readonly bytes: number;
  readonly redactions: number;
  /** Null when it ended as it should. */
  readonly reason: FaultCode | null;
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

  const source = new BodySource(forwarded, injected.admitted.authorized.policy.idleTimeoutMs);
  source.open(response.body as ReadableStream<Uint8Array>);
  if (options.coded) {
    const first = await source.read();
    if (!first.ok) return err(first.error);
    if (first.value !== null) source.unread(first.value);
  }
  return ok(streamed(source, options));
}

/** A small body is read at once, in one step of the runtime: half the cost of a stream. */
async function wholeScrubbed(
  forwarded: Forwarded,
  length: number,
  options: BodyOptions,
): Promise<Result<ScrubbedBody, Fault>> {
  const { idleTimeoutMs } = forwarded.injected.admitted.authorized.policy;
  let stalled = false;
  const timer = setTimeout(() => {
    stalled = true;
    forwarded.abort();
  }, idleTimeoutMs);
  try {
    const bytes = new Uint8Array(await forwarded.response.arrayBuffer());
    if (bytes.byteLength !== length) return err(fault('upstream_protocol_error', 'the body ended early'));
    const clean = options.scrubber?.bytes(bytes) ?? { bytes, hits: 0 };
    options.onEnd({ bytes: clean.bytes.byteLength, redactions: options.redactions + clean.hits, reason: null });
    return ok({ body: clean.bytes, length: clean.bytes.byteLength });
  } catch {
    if (stalled) return err(fault('upstream_timeout', `silent for ${idleTimeoutMs} ms`));
    return err(fault('upstream_protocol_error', 'the body broke off'));
  } finally {
    clearTimeout(timer);
  }
}

const isEventStream = (headers: Headers): boolean => /^text\/event-stream/i.test(headers.get('content-type') ?? '');

function streamed(source: BodySource, { scrubber, redactions, length, onEnd }: BodyOptions): ScrubbedBody {
  const scrub: ScrubRun | null = scrubber?.start({ keepLength: length !== null }) ?? null;
  let bytes = 0;
  let ended = false;
  const end = (reason: FaultCode | null): void => {
    if (ended) return;
    ended = true;
    onEnd({ bytes, redactions: redactions + (scrub?.hits ?? 0), reason });
  };
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller): Promise<void> {
        for (;;) {
          const read = await source.read();
          if (!read.ok) {
            end(read.error.code);
            // The client must see a broken body, not a short one that looks whole.
            controller.error(new Error(read.error.code));
            return;
          }
          const chunks = read.value === null ? (scrub?.end() ?? []) : (scrub?.push(read.value) ?? [read.value]);
          for (const chunk of chunks) {
            bytes += chunk.byteLength;
            controller.enqueue(chunk);
          }
          if (read.value === null) {
            end(null);
            controller.close();
            return;
          }
          // Held back as the possible start of a spelling: read on.
          if (chunks.length > 0) return;
        }
      },
      cancel(): void {
        end('client_cancelled');
        source.abort();
      },
    },
    { highWaterMark: 0 },
  );
  if (length === null) return { body: stream, length: null };
  const fixed = new FixedLengthStream(length);
  void stream.pipeTo(fixed.writable).catch(() => undefined);
  return { body: fixed.readable, length };
}

/** The upstream's body, read with a bound on silence. */
class BodySource {
  readonly #forwarded: Forwarded;
  readonly #idleTimeoutMs: number;
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #unread: Uint8Array | null = null;

  constructor(forwarded: Forwarded, idleTimeoutMs: number) {
    this.#forwarded = forwarded;
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  open(body: ReadableStream<Uint8Array>): void {
    this.#reader = body.getReader();
  }

  /** @returns The next chunk, null at the end, or why there is none. */
  async read(): Promise<Result<Uint8Array | null, Fault>> {
    if (this.#unread !== null) {
      const chunk = this.#unread;
      this.#unread = null;
      return ok(chunk);
    }
    let stalled = false;
    const timer = setTimeout(() => {
      stalled = true;
      this.abort();
    }, this.#idleTimeoutMs);
    try {
      const { done, value } = (await this.#reader?.read()) ?? { done: true, value: undefined };
      return ok(done || value === undefined ? null : value);
    } catch {
      if (stalled) return err(fault('upstream_timeout', `silent for ${this.#idleTimeoutMs} ms`));
      return err(fault('upstream_protocol_error', 'the body broke off or could not be decoded'));
    } finally {
      clearTimeout(timer);
    }
  }

  unread(chunk: Uint8Array): void {
    this.#unread = chunk;
  }

  abort(): void {
    this.#forwarded.abort();
    this.#reader?.cancel().catch(() => undefined);
  }
}
