/**
 * Names of the Workers runtime that Node lacks, for those modules of `src` that tests in Node import. Types alone, as
 * workerd's own package has them: nothing here can be made in Node, and all else (`URL`, `Response`, …) is Node's.
 */
type CryptoKey = import('node:crypto').webcrypto.CryptoKey;
type D1Database = import('@cloudflare/workers-types').D1Database;
type DurableObjectNamespace<T extends Rpc.DurableObjectBranded> =
  import('@cloudflare/workers-types').DurableObjectNamespace<T>;
type ExecutionContext = import('@cloudflare/workers-types').ExecutionContext;
type Fetcher = import('@cloudflare/workers-types').Fetcher;
type SqlStorage = import('@cloudflare/workers-types').SqlStorage;

declare namespace Rpc {
  type DurableObjectBranded = import('@cloudflare/workers-types').Rpc.DurableObjectBranded;
}

/** What Node's answers never have. */
interface Response {
  readonly webSocket?: null;
}

/** Made for uploads that stream, of which tests in Node send none: it would fail there. */
declare const IdentityTransformStream: new () => TransformStream<Uint8Array, Uint8Array>;
declare const FixedLengthStream: new (length: number) => TransformStream<Uint8Array, Uint8Array>;
