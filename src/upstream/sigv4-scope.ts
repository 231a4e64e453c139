/** Where and for what a SigV4 signature counts: part of `Credential=` (AWS Signature Version 4, "credential scope"). */
export interface SigV4Scope {
  readonly region: string;
  readonly service: string;
}

const SCOPED =
  /^AWS4-HMAC-SHA256[ ]+Credential=[^\s/,]+\/\d{8}\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request,[ ]*SignedHeaders=[a-z0-9;!#$%&'*+.^_`|~-]{1,4096},[ ]*Signature=[0-9a-f]{64}$/;

/**
 * The scope that a client signed for, from its Authorization field.
 *
 * The signature is not verified: the client holds no key of ours. What it names only fills in a region or a service that
 * the policy leaves open; the host is the policy's in any case.
 *
 * @param authorization  The field as received, or null.
 * @returns Region and service, or null when this is no well-formed `AWS4-HMAC-SHA256` field.
 */
export function parseSigV4Scope(authorization: string | null): SigV4Scope | null {
  if (authorization === null || authorization.length > 8192) return null;
  const found = SCOPED.exec(authorization.trim());
  return found === null ? null : { region: found[1] as string, service: found[2] as string };
}

const PRESIGNED = /^[^\s/,]+\/\d{8}\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request$/;

/** The same of a presigned URL, from its `X-Amz-Credential`; null when that is not there, there twice, or malformed. */
export function presignedScopeOf(query: string): SigV4Scope | null {
  const credentials = new URLSearchParams(query).getAll('X-Amz-Credential');
  const found = credentials.length === 1 ? PRESIGNED.exec(credentials[0] as string) : null;
  return found === null ? null : { region: found[1] as string, service: found[2] as string };
}
