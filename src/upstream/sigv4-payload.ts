import { type Fault, fault, unsignable } from '../fault.ts';
import { sha256Hex } from '../lib/digest.ts';
import { joined } from '../lib/joined.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { OutgoingRequest } from './outgoing.ts';

/** Most bytes of a body that are gathered because a service other than S3 wants their hash signed. */
export const MAX_SIGNED_BODY_BYTES = 8 * 1024 * 1024;

const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
const SHA256_HEX = /^[0-9a-f]{64}$/;

/**
 * What a SigV4 signature says of the body.
 *
 * Bytes at hand are hashed. For a stream the client's own `x-amz-content-sha256` counts, when it is a digest (the upstream
 * checks it); else S3 gets `UNSIGNED-PAYLOAD`, and for any other service the body is gathered, within a bound.
 *
 * @returns The hash and the request, its body perhaps turned from a stream into bytes; `request_unsignable` when it is too large.
 */
export async function payloadOf(
  request: OutgoingRequest,
  s3: boolean,
): Promise<Result<{ readonly sha256: string; readonly request: OutgoingRequest }, Fault>> {
  const fields = new Map(request.fields);
  const claimed = fields.get('x-amz-content-sha256');
  fields.delete('x-amz-content-sha256');
  const { body } = request;
  if (body === null) return ok({ sha256: sha256Hex(new Uint8Array(0)), request: { ...request, fields } });
  if (body instanceof Uint8Array) return ok({ sha256: sha256Hex(body), request: { ...request, fields } });
  if (claimed !== undefined && SHA256_HEX.test(claimed))
    return ok({ sha256: claimed, request: { ...request, fields } });
  if (claimed !== undefined && claimed !== UNSIGNED_PAYLOAD) {
    return err(
      unsignable('body_digest', 'x-amz-content-sha256 is neither a SHA-256 in lower-case hex nor UNSIGNED-PAYLOAD'),
    );
  }
  if (s3) return ok({ sha256: UNSIGNED_PAYLOAD, request: { ...request, fields } });
  let bytes: Uint8Array | null;
  try {
    bytes = await gathered(body, MAX_SIGNED_BODY_BYTES);
  } catch {
    return err(request.bodyFault?.() ?? fault('client_cancelled', 'before its body had come whole'));
  }
  if (bytes === null) {
    return err(
      unsignable(
        'body_length',
        `a body of more than ${MAX_SIGNED_BODY_BYTES} bytes needs an x-amz-content-sha256 to be signed`,
      ),
    );
  }
  return ok({ sha256: sha256Hex(bytes), request: { ...request, fields, body: bytes, bodyLength: bytes.length } });
}

/** The whole stream, or null as soon as it is longer than `maxBytes`; the rest can then still be read, or drained. */
async function gathered(stream: ReadableStream<Uint8Array>, maxBytes: number): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      reader.releaseLock();
      return null;
    }
    chunks.push(value);
  }
  return joined(chunks);
}
