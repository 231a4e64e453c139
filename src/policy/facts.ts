import type { BodyValue } from '../access.ts';
import type { BodyRefusal } from '../denial.ts';
import { bodyKindOf } from './body.ts';
import { Opaque } from './cel-meaning.ts';
import { parseForm } from './form-body.ts';

/** What a decision may know of a request beyond its {@link import('../access.ts').Access}. */
export interface RequestFacts {
  /** Raw query without `?`. */
  readonly query: string;
  /** Field names and values as received; `Headers` and `Map` will do. */
  readonly headers: Iterable<readonly [string, string]>;
  /** Present when the plan needed it and it could be read. */
  readonly body?: BodyValue;
  /** Why there is no body although one was needed: then only what needs none can still be allowed. */
  readonly bodyRefusal?: BodyRefusal;
  readonly agent: string;
  readonly session: string | null;
  /** Unix milliseconds. */
  readonly now: number;
}

/** The facts of one request for one rule, as CEL sees them. */
export interface Facts {
  /** A variable that cannot be read is absent, and so unevaluable. */
  context(): Record<string, unknown>;
}

/** Reads the request once for all rules, and only if one has a condition; `params` differ by rule. */
export class RequestContext {
  readonly #read: () => Record<string, unknown>;
  #shared: Record<string, unknown> | null = null;

  constructor(method: string, path: string, request: RequestFacts) {
    this.#read = () => variablesOf(method, path, request);
  }

  withParams(params: ReadonlyMap<string, string>): Facts {
    return {
      context: () => {
        this.#shared ??= this.#read();
        return Object.assign(Object.create(null), this.#shared, { params });
      },
    };
  }
}

function variablesOf(method: string, path: string, request: RequestFacts): Record<string, unknown> {
  const headers = headersOf(request.headers);
  // The body's reader chose by the same field, so that both speak of the same body.
  const contentType = headers.get('content-type');
  const kind = bodyKindOf(typeof contentType === 'string' ? contentType : null);
  const query = parseForm(request.query);
  return {
    method,
    path,
    headers,
    agent: request.agent,
    session: request.session,
    now: new Date(request.now),
    body_is_form: kind.ok && kind.value === 'form',
    ...(query.ok ? { query: new Map(Object.entries(query.value)) } : {}),
    ...(request.body === undefined ? {} : { body: celValueOf(request.body) }),
  };
}

/** Fields that carry, or by their name may carry, a credential. */
export function isCredentialField(name: string): boolean {
  return (
    /^(authorization|proxy-authorization|cookie|set-cookie)$/.test(name) ||
    /(^|[-_])(api[-_]?key|key|token|secret|password|auth|credentials?|signature)$/.test(name)
  );
}

const OPAQUE = new Opaque();

/**
 * Lower-case names, all of them, so that a rule can ask whether a field is there; values but of credential fields.
 * A field sent twice is joined by the platform (RFC 9110 §5.3), and is so seen here.
 */
function headersOf(headers: Iterable<readonly [string, string]>): Map<string, unknown> {
  const map = new Map<string, unknown>();
  for (const [field, value] of headers) {
    const name = field.toLowerCase();
    const before = map.get(name);
    map.set(name, isCredentialField(name) ? OPAQUE : before === undefined ? value : `${before}, ${value}`);
  }
  return map;
}

/** Whole numbers become ints (bigint), those beyond 2^53 are {@link Opaque}; objects become maps. */
function celValueOf(value: BodyValue): unknown {
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) return value;
    return Number.isSafeInteger(value) ? BigInt(value) : OPAQUE;
  }
  if (Array.isArray(value)) return value.map(celValueOf);
  if (typeof value !== 'object' || value === null) return value;
  return new Map(Object.entries(value).map(([key, item]) => [key, celValueOf(item)]));
}
