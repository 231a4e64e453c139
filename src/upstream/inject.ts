import { type Fault, fault } from '../fault.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { CredentialSpec } from '../policy/ruled.ts';
import type { Gather } from './aws-chunked-body.ts';
import type { Credentials } from './credential.ts';
import type { OutgoingRequest } from './outgoing.ts';
import { injectBasic } from './schemes/basic.ts';
import { injectBearer } from './schemes/bearer.ts';
import { injectHeader } from './schemes/header.ts';
import { injectQuery } from './schemes/query.ts';
import { injectSigV4 } from './schemes/sigv4.ts';
import type { SigV4Scope } from './sigv4-scope.ts';

export interface InjectContext {
  /** Unix time in milliseconds. */
  readonly now: number;
  /** What a SigV4 client signed for, by `parseSigV4Scope` of the Authorization field it sent; absent or null when it did not. */
  readonly scope?: SigV4Scope | null;
  /** Reads a body whole that cannot be signed while it streams; absent: none is. */
  readonly gather?: Gather;
}

/**
 * Puts the credential into a request that `requestFields` has emptied of every other.
 *
 * @returns A new request; the given one is not touched, but the body of a stream may be consumed by signing.
 */
export async function inject(
  spec: CredentialSpec,
  credentials: Credentials,
  request: OutgoingRequest,
  ctx: InjectContext,
): Promise<Result<OutgoingRequest, Fault>> {
  if (spec.scheme === 'sigv4') {
    if (credentials.kind !== 'aws') return mismatch(spec);
    return injectSigV4(spec, credentials, request, ctx.now, ctx.scope ?? null, ctx.gather ?? null);
  }
  if (credentials.kind !== 'single') return mismatch(spec);
  switch (spec.scheme) {
    case 'bearer':
      return ok(injectBearer(credentials.secret, request));
    case 'header':
      return ok(injectHeader(spec, credentials.secret, request));
    case 'basic':
      return ok(injectBasic(spec.username, credentials.secret, request));
    case 'query':
      return ok(injectQuery(spec.param, credentials.secret, request));
  }
}

const mismatch = (spec: CredentialSpec): Result<never, Fault> =>
  err(fault('environment_broken', `the credentials at hand do not fit the scheme ${spec.scheme}`));
