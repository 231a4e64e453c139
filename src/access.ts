import type { Brand } from './lib/brand.ts';

/** An absolute path in the one canonical form that policy, log and wire share; made only by `policy/canonical-path.ts`. */
export type CanonicalPath = Brand<string, 'CanonicalPath'>;

/** A parsed request body, present only when a rule needs it. JSON objects have no prototype. */
export type BodyValue = null | boolean | number | string | BodyValue[] | { [key: string]: BodyValue };

/** What is attempted: the noun every decision is about. */
export interface Access {
  /** The service's id as named in its policy and in `/proxy/<service>/`. */
  readonly service: string;
  /** RFC 9110 §9 method, upper case. */
  readonly method: string;
  readonly path: CanonicalPath;
  /** Raw query without `?`, byte for byte as received; empty when there was none. */
  readonly query: string;
}
