import { AwsV4Signer } from 'aws4fetch';
import { type Fault, unsignable } from '../../fault.ts';
import { err, ok, type Result } from '../../lib/result.ts';
import type { CredentialSpec } from '../../policy/ruled.ts';
import { decodeAwsChunkedBody, type Gather } from '../aws-chunked-body.ts';
import type { Credentials } from '../credential.ts';
import type { OutgoingRequest } from '../outgoing.ts';
import { payloadOf } from '../sigv4-payload.ts';
import type { SigV4Scope } from '../sigv4-scope.ts';
import { sigV4Path, sigV4Query } from '../sigv4-target.ts';

type AwsCredentials = Extract<Credentials, { kind: 'aws' }>;
type SigV4Spec = Extract<CredentialSpec, { scheme: 'sigv4' }>;

/** Services that sign the path as it is on the wire and take `UNSIGNED-PAYLOAD`; all others encode the path once more. */
const S3_FAMILY: ReadonlySet<string> = new Set(['s3', 's3express', 's3-object-lambda', 's3-outposts']);

/** What a client may have put there for its own signature, besides what `fields.ts` drops from every request. */
const CLIENT_SIGNING_FIELDS = ['authorization', 'x-amz-date', 'x-amz-security-token', 'x-amz-s3session-token'];

/** Signing keys by credentials, date, region and service: four HMACs less a request, and gone with the credentials. */
const signingKeys = new WeakMap<AwsCredentials, Map<string, ArrayBuffer>>();
const MAX_SIGNING_KEYS = 64;

/**
 * Signs a request with AWS Signature Version 4, in the Authorization field.
 *
 * The client's own signature is taken out, header or presigned query; path and query are brought into the one form over
 * which the signature is computed, and go out in it. Signed are `host`, `content-type`, `content-md5` and `x-amz-*`:
 * what AWS demands, and nothing that the runtime or a proxy might touch on the way.
 *
 * @param now    Unix time in milliseconds.
 * @param scope  What the client signed for; it fills in what the policy leaves open.
 * @param gather For a part of an upload whose checksum follows it; null: such a part streams, without the checksum.
 * @returns The signed request, or `request_unsignable` with what the client can do about it.
 */
export async function injectSigV4(
  spec: SigV4Spec,
  credentials: AwsCredentials,
  request: OutgoingRequest,
  now: number,
  scope: SigV4Scope | null,
  gather: Gather | null,
): Promise<Result<OutgoingRequest, Fault>> {
  const region = spec.region ?? scope?.region;
  const service = spec.service ?? scope?.service;
  if (region === undefined || service === undefined) {
    return err(
      unsignable(
        'scope',
        'neither the policy nor the client names a region and a service: sign the request with SigV4, or set them in the policy',
      ),
    );
  }
  const s3 = S3_FAMILY.has(service);
  const path = sigV4Path(request.path, s3);
  if (!path.ok) return path;
  const query = sigV4Query(request.query, s3);
  if (!query.ok) return query;

  const fields = new Map(request.fields);
  for (const name of CLIENT_SIGNING_FIELDS) fields.delete(name);
  const decoded = await decodeAwsChunkedBody({ ...request, path: path.value, query: query.value, fields }, gather);
  if (!decoded.ok) return decoded;
  const payload = await payloadOf(decoded.value, s3);
  if (!payload.ok) return payload;

  return signSigV4(payload.value.request, payload.value.sha256, { region, service }, credentials, now, isSigned);
}

const isSigned = (name: string): boolean =>
  name === 'content-type' || name === 'content-md5' || name.startsWith('x-amz-');

/**
 * The signature itself, over exactly the given target, the fields that `signs` chooses, and a payload hash.
 *
 * @param sha256  Lower-case hex of the body's SHA-256, or `UNSIGNED-PAYLOAD`.
 * @returns The request with `authorization`, `x-amz-date` and, for the S3 family or a session, the further `x-amz-*` fields.
 */
export async function signSigV4(
  request: OutgoingRequest,
  sha256: string,
  scope: SigV4Scope,
  credentials: AwsCredentials,
  now: number,
  signs: (name: string) => boolean,
): Promise<Result<OutgoingRequest, Fault>> {
  const url = request.origin + request.path + (request.query === '' ? '' : `?${request.query}`);
  const s3 = S3_FAMILY.has(scope.service);
  const { sessionToken } = credentials;
  const signer = new AwsV4Signer({
    method: request.method,
    url,
    headers: [
      ...[...request.fields].filter(([name]) => signs(name)),
      ...(s3 ? [['x-amz-content-sha256', sha256]] : []),
    ],
    accessKeyId: credentials.accessKeyId.reveal(),
    secretAccessKey: credentials.secretAccessKey.reveal(),
    ...(sessionToken === null ? {} : { sessionToken: sessionToken.reveal() }),
    service: scope.service,
    region: scope.region,
    datetime: new Date(now).toISOString().replace(/[:-]|\.\d{3}/g, ''),
    cache: keysOf(credentials),
    allHeaders: true,
    // aws4fetch knows `s3` by itself; the rest of the family has to be told.
    singleEncode: s3 && scope.service !== 's3',
  });
  // The runtime will parse the same URL: what it would write otherwise would not be what was signed.
  if (
    signer.url.origin !== request.origin ||
    signer.url.pathname !== request.path ||
    signer.url.search.slice(1) !== request.query
  ) {
    return err(unsignable('escapes', 'the path or the query holds characters that must be percent-encoded'));
  }
  signer.hexBodyHash = async () => sha256;
  const fields = new Map(request.fields).set('authorization', await signer.authHeader());
  for (const name of ['x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256']) {
    const value = signer.headers.get(name);
    if (value !== null) fields.set(name, value);
  }
  return ok({ ...request, fields });
}

function keysOf(credentials: AwsCredentials): Map<string, ArrayBuffer> {
  let keys = signingKeys.get(credentials);
  if (keys === undefined || keys.size >= MAX_SIGNING_KEYS) {
    keys = new Map();
    signingKeys.set(credentials, keys);
  }
  return keys;
}
