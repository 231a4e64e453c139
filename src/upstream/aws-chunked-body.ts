import { type Fault, fault, unsignable } from '../fault.ts';
import { joined } from '../lib/joined.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { AwsChunkedDecoder, awsChunkedStream } from './aws-chunked.ts';
import { ofKnownLength } from './known-length.ts';
import type { OutgoingRequest } from './outgoing.ts';

/**
 * Reads a body whole that has this many bytes at most, each chunk good until the next is asked for; null when there is no room
 * for it, and it must stream.
 */
export type Gather = (body: ReadableStream<Uint8Array>, bytes: number) => Promise<AsyncIterable<Uint8Array> | null>;

type Chunks = AsyncIterable<Uint8Array> | readonly Uint8Array[];

/** The values of `x-amz-content-sha256` that announce a coded body, and whether trailers follow it. */
const STREAMING: Readonly<Record<string, { readonly trailers: boolean }>> = {
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD': { trailers: false },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': { trailers: true },
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER': { trailers: true },
};

/**
 * The largest part of an upload in parts that is gathered for the sake of its checksum: what boto3, the AWS CLI and the Java
 * SDK send unless told otherwise. An upload that was begun with a checksum takes no part without one, and once decoded, a
 * part has no trailer to bring it in; a field has to be known before the first byte. Where there is no room for it, it goes without.
 */
const MAX_GATHERED_PART_BYTES = 8 * 1024 * 1024;

/** The trailers that say as a field what they say after the body. */
const CHECKSUM = /^x-amz-checksum-(?:crc32|crc32c|crc64nvme|sha1|sha256)$/;

/** Fields that speak of the coded body; `x-amz-sdk-checksum-algorithm` announces the checksum in the trailer. */
const CODED_FIELDS = [
  'x-amz-content-sha256',
  'x-amz-decoded-content-length',
  'x-amz-trailer',
  'x-amz-sdk-checksum-algorithm',
];

/**
 * A request whose `aws-chunked` body, if it has one, is decoded: its chunks are signed with the client's placeholder, and
 * we could sign them again only with the body's hashes. The outgoing body has a known length, since S3 takes no other.
 *
 * @returns The request as it is when its body is not coded; `request_unsignable` when its fields contradict each other or
 *   the body is at hand and malformed. A stream that turns out so while it is sent errors, and `bodyFault` says why.
 */
export async function decodeAwsChunkedBody(
  request: OutgoingRequest,
  gather: Gather | null,
): Promise<Result<OutgoingRequest, Fault>> {
  const payload = request.fields.get('x-amz-content-sha256') ?? '';
  const codings = (request.fields.get('content-encoding') ?? '').split(',').map((coding) => coding.trim());
  const others = codings.filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked');
  const saysCoded = codings.some((coding) => coding.toLowerCase() === 'aws-chunked');
  // Some SDKs leave the content coding out, so that the payload's announcement alone decides.
  if (!payload.startsWith('STREAMING-'))
    return saysCoded ? contradictory('the body is aws-chunked without saying how') : ok(request);
  const form = STREAMING[payload];
  if (form === undefined) return contradictory('this form of aws-chunked is not known');
  const length = request.fields.get('x-amz-decoded-content-length') ?? '';
  if (!/^\d{1,15}$/.test(length)) return contradictory('an aws-chunked body needs x-amz-decoded-content-length');
  const decodedLength = Number(length);
  const { body } = request;
  if (body === null) return contradictory('an aws-chunked body is announced and there is none');

  const fields = new Map(request.fields);
  for (const name of CODED_FIELDS) fields.delete(name);
  if (others.length === 0) fields.delete('content-encoding');
  else fields.set('content-encoding', others.join(', '));

  const decoder = new AwsChunkedDecoder(decodedLength, form.trailers);
  const whole = async (
    chunks: Chunks,
    room: Uint8Array<ArrayBuffer> | null,
  ): Promise<Result<OutgoingRequest, Fault>> => {
    const decoded = await decodedWhole(decoder, chunks, room);
    if (!decoded.ok) return decoded;
    for (const [name, value] of decoder.trailers) if (CHECKSUM.test(name)) fields.set(name, value);
    return ok({ ...request, fields, body: decoded.value, bodyLength: decodedLength });
  };
  if (body instanceof Uint8Array) return whole([body], null);
  // An empty object is complete before the first byte of its body, so that it is sent after the last.
  if (decodedLength === 0) return whole(body, null);
  const gathers = form.trailers && decodedLength <= MAX_GATHERED_PART_BYTES && isPart(request.query);
  const gathered = gathers ? await gather?.(body, decodedLength) : null;
  if (gathered) return whole(gathered, new Uint8Array(decodedLength));

  let broken: Fault | null = null;
  const decoded = body.pipeThrough(
    awsChunkedStream(decoder, (why) => {
      broken = malformed(why);
    }),
  );
  return ok({
    ...request,
    fields,
    body: ofKnownLength(decoded, decodedLength),
    bodyLength: decodedLength,
    bodyFault: () => broken,
  });
}

const isPart = (query: string): boolean => new URLSearchParams(query).has('uploadId');

async function decodedWhole(
  decoder: AwsChunkedDecoder,
  coded: Chunks,
  room: Uint8Array<ArrayBuffer> | null,
): Promise<Result<Uint8Array, Fault>> {
  const pieces: Uint8Array[] = [];
  let at = 0;
  try {
    for await (const chunk of coded) {
      const decoded = decoder.push(chunk);
      if (!decoded.ok) return err(malformed(decoded.error));
      for (const piece of decoded.value) {
        if (room === null) pieces.push(piece);
        else room.set(piece, at);
        at += piece.length;
      }
    }
  } catch {
    return err(fault('client_cancelled', 'before its body had come whole'));
  }
  const ended = decoder.end();
  if (!ended.ok) return err(malformed(ended.error));
  return ok(room ?? joined(pieces));
}

const malformed = (why: string): Fault => unsignable('body_malformed', `the aws-chunked body is malformed: ${why}`);
const contradictory = (detail: string): Result<never, Fault> => err(unsignable('body_coding', detail));
