import type { CanonicalPath } from '../access.ts';
import type { Fault } from '../fault.ts';
import type { FieldMap } from '../lib/fields.ts';

/** A request on its way to the upstream, before and after injection. */
export interface OutgoingRequest {
  readonly method: string;
  /** Scheme, host, port; from the policy alone, never from the client. */
  readonly origin: string;
  readonly path: CanonicalPath;
  /** Without `?`; empty when none. */
  readonly query: string;
  /** Already emptied of every client credential and hop-by-hop field by `fields.ts`. */
  readonly fields: FieldMap;
  /** Bytes when a rule read the body, a stream otherwise, null when there is none. */
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
  /** Exact length when known. */
  readonly bodyLength: number | null;
  /** What was found wrong with a streamed body while it was read; null when nothing was, so far. */
  readonly bodyFault?: () => Fault | null;
}
