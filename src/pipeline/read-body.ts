import type { BodyValue } from '../access.ts';
import type { BodyRefusal, Denial } from '../denial.ts';
import { joined } from '../lib/joined.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { parseBody } from '../policy/body.ts';
import type { Call } from './call.ts';

/** A body that a rule needed: the bytes go on as they came, the value (or why there is none) is what the rules see. */
export interface BodyRead {
  readonly bytes: Uint8Array;
  readonly parsed: Result<BodyValue, BodyRefusal>;
}

/**
 * Reads a body whole, within a bound, and parses it strictly. A body over the bound is denied,
 * never judged by its first part (threat 16).
 */
export async function readBody(
  { request, fields }: Pick<Call, 'request' | 'fields'>,
  maxBytes: number,
): Promise<Result<BodyRead, Denial>> {
  const declared = Number(fields.get('content-length') ?? '0');
  if (declared > maxBytes) return err({ kind: 'body_refused', why: 'too_large' });
  let bytes: Uint8Array | null;
  try {
    bytes = await collect(request.body, maxBytes);
  } catch {
    // The client went away, or its chunks are none (RFC 9112 §8): no fault of ours.
    return err({ kind: 'body_refused', why: 'incomplete' });
  }
  if (bytes === null) return err({ kind: 'body_refused', why: 'too_large' });
  const parsed = parseBody(bytes, fields.get('content-type') ?? null, fields.get('content-encoding') ?? null);
  // Whichever rule would allow it: what was judged is not what the service would do.
  if (!parsed.ok && parsed.error === 'method_override') return err({ kind: 'body_refused', why: 'method_override' });
  return ok({ bytes, parsed });
}

async function collect(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Uint8Array | null> {
  if (body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  // What is too large is left as it is: cancelled, the rest could not be drained, and the client would not hear of the refusal.
  for await (const chunk of body.values({ preventCancel: true })) {
    length += chunk.byteLength;
    if (length > maxBytes) return null;
    chunks.push(chunk);
  }
  const [only] = chunks;
  if (chunks.length === 1 && only !== undefined) return only;
  return joined(chunks);
}
