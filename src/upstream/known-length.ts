/**
 * A stream of exactly `length` bytes, which the Workers runtime sends with Content-Length instead of chunked: S3 and
 * Swift refuse a chunked upload. More or fewer bytes error the stream. Elsewhere than in workerd the stream is returned
 * as it is, and the caller's Content-Length field has to say it.
 */
export function ofKnownLength(stream: ReadableStream<Uint8Array>, length: number): ReadableStream<Uint8Array> {
  const Fixed = (globalThis as { FixedLengthStream?: new (length: number) => TransformStream<Uint8Array, Uint8Array> })
    .FixedLengthStream;
  return Fixed === undefined ? stream : stream.pipeThrough(new Fixed(length));
}
