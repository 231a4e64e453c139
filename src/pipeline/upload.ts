import type { OutgoingRequest } from '../upstream/outgoing.ts';

/** A request's body on its way to the upstream. */
export interface Upload {
  /** For `fetch`: the bytes as they are, or a stream that the pump fills. */
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
  /** Whether it ended before it was whole, by the client's doing. */
  readonly brokeOff: () => boolean;
  /** Bytes of it that have come so far; null when there is none. */
  readonly bytes: () => number | null;
}

/** Bytes asked for at once; the runtime gives what has come. */
const READ_BYTES = 65_536;

/**
 * Streams the client's body on with backpressure. `fetch` could take the stream itself, but its error would not tell which of
 * the two connections was lost: here the one fails to be read, and the other to be written.
 *
 * @param request  Its stream is read from now on.
 * @param abort    Ends the exchange. An error of the stream would not: the runtime ends a chunked body as if it were whole.
 */
export function uploadOf({ body, bodyLength }: OutgoingRequest, abort: () => void): Upload {
  if (body === null || body instanceof Uint8Array)
    return { body, brokeOff: () => false, bytes: () => body?.byteLength ?? null };
  // With a length, more or fewer bytes are an error, so that no cut body looks whole; and S3 refuses a chunked upload.
  const pipe = bodyLength === null ? new IdentityTransformStream() : new FixedLengthStream(bodyLength);
  const writer = pipe.writable.getWriter();
  let brokeOff = false;
  let bytes = 0;
  const pump = async (): Promise<void> => {
    const reader = body.getReader({ mode: 'byob' });
    for (let buffer = new ArrayBuffer(READ_BYTES); ; ) {
      let chunk: Uint8Array | undefined;
      try {
        const { done, value } = await reader.read(new Uint8Array(buffer));
        if (!done) chunk = value;
      } catch {
        brokeOff = true;
        return abort();
      }
      if (chunk === undefined) return writer.close();
      bytes += chunk.byteLength;
      await writer.write(chunk);
      buffer = chunk.buffer as ArrayBuffer;
    }
  };
  // What fails to be written is the upstream's: of that `fetch` tells.
  pump().catch(() => undefined);
  return { body: pipe.readable, brokeOff: () => brokeOff, bytes: () => bytes };
}
