import { joined } from '../lib/joined.ts';
import { err, ok, type Result } from '../lib/result.ts';

/** Most bytes of a chunk's header or trailer line, without CR LF. */
export const MAX_LINE_BYTES = 1024;
/** Most trailer fields. */
const MAX_TRAILERS = 16;

const CHUNK = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=[0-9a-f]{64})?$/;
const TRAILER = /^(x-amz-[a-z0-9-]{1,64}):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)$/i;

type State = 'size' | 'data' | 'data_end' | 'trailer' | 'done';

/**
 * Decodes an `aws-chunked` body: `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, the same with `-TRAILER`, and
 * `STREAMING-UNSIGNED-PAYLOAD-TRAILER` (Amazon S3 API, "Signature calculations: chunked upload").
 *
 * Chunk signatures are read over, not verified: they were made with the client's placeholder of a key.
 */
export class AwsChunkedDecoder {
  readonly #decodedLength: number;
  readonly #hasTrailers: boolean;
  readonly #trailers = new Map<string, string>();
  #state: State = 'size';
  #line = '';
  #chunkLeft = 0;
  #total = 0;

  /**
   * @param decodedLength  `x-amz-decoded-content-length`: exactly as many bytes must come out.
   * @param hasTrailers    Whether trailer fields may follow the last chunk.
   */
  constructor(decodedLength: number, hasTrailers: boolean) {
    this.#decodedLength = decodedLength;
    this.#hasTrailers = hasTrailers;
  }

  /** Trailer fields by lower-case name, such as `x-amz-checksum-crc32`; complete after {@link end}. */
  get trailers(): ReadonlyMap<string, string> {
    return this.#trailers;
  }

  /** Takes coded bytes, gives the decoded ones as views of the chunk; or says what is malformed. */
  push(chunk: Uint8Array): Result<Uint8Array[], string> {
    const out: Uint8Array[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'done') return err('bytes after the last chunk');
      if (this.#state === 'data') {
        const end = Math.min(chunk.length, at + this.#chunkLeft);
        out.push(chunk.subarray(at, end));
        this.#chunkLeft -= end - at;
        at = end;
        if (this.#chunkLeft === 0) this.#state = 'data_end';
        continue;
      }
      const newline = chunk.indexOf(0x0a, at);
      const end = newline === -1 ? chunk.length : newline + 1;
      if (this.#line.length + end - at > MAX_LINE_BYTES + 2) return err('a line is too long');
      this.#line += String.fromCharCode(...chunk.subarray(at, end));
      at = end;
      if (newline === -1) continue;
      if (!this.#line.endsWith('\r\n')) return err('a line does not end in CR LF');
      const problem = this.#takeLine(this.#line.slice(0, -2));
      if (problem !== null) return err(problem);
      this.#line = '';
    }
    return ok(out);
  }

  /** Must be called at the end of the coded body; says what is missing. */
  end(): Result<null, string> {
    return this.#state === 'done' ? ok(null) : err('the body ends before its last chunk');
  }

  #takeLine(line: string): string | null {
    switch (this.#state) {
      case 'size':
        return this.#takeSize(line);
      case 'data_end':
        this.#state = 'size';
        return line === '' ? null : 'a chunk is longer than it says';
      case 'trailer':
        return this.#takeTrailer(line);
      default:
        return 'unreachable';
    }
  }

  #takeSize(line: string): string | null {
    const found = CHUNK.exec(line);
    if (found === null) return 'a chunk header is malformed';
    const size = Number.parseInt(found[1] as string, 16);
    this.#total += size;
    if (this.#total > this.#decodedLength) return 'the body is longer than x-amz-decoded-content-length';
    this.#chunkLeft = size;
    this.#state = size === 0 ? 'trailer' : 'data';
    if (size === 0 && this.#total !== this.#decodedLength)
      return 'the body is shorter than x-amz-decoded-content-length';
    return null;
  }

  #takeTrailer(line: string): string | null {
    if (line === '') {
      this.#state = 'done';
      return null;
    }
    const found = TRAILER.exec(line);
    if (!this.#hasTrailers || found === null) return 'a trailer is malformed or was not announced';
    if (this.#trailers.size >= MAX_TRAILERS) return 'there are too many trailers';
    this.#trailers.set((found[1] as string).toLowerCase(), found[2] as string);
    return null;
  }
}

/**
 * The decoder as a stream. What is malformed errors the stream, with a text that quotes nothing of the body, so that the
 * upstream never sees a complete request: the last bytes are held back until the coded body has ended as it must, since
 * with a known length they alone would make the request complete.
 *
 * @param onMalformed  Told before the stream errors: an error does not always come through to whoever sends the stream.
 */
export function awsChunkedStream(
  decoder: AwsChunkedDecoder,
  onMalformed: (why: string) => void = () => {},
): TransformStream<Uint8Array, Uint8Array> {
  let last: Uint8Array | null = null;
  const malformed = (why: string): never => {
    onMalformed(why);
    throw new TypeError(`aws-chunked: ${why}`);
  };
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const decoded = decoder.push(chunk);
      if (!decoded.ok) return malformed(decoded.error);
      const pieces = last === null ? decoded.value : [last, ...decoded.value];
      last = pieces.pop() ?? null;
      // In one: chunks may be of a byte each, and a piece costs more than its bytes.
      if (pieces.length > 0) controller.enqueue(pieces.length === 1 ? (pieces[0] as Uint8Array) : joined(pieces));
    },
    flush(controller) {
      const ended = decoder.end();
      if (!ended.ok) return malformed(ended.error);
      if (last !== null) controller.enqueue(last);
    },
  });
}
