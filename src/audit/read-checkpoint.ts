import { base64url, compactVerify, createLocalJWKSet, decodeProtectedHeader, errors, type JSONWebKeySet } from 'jose';
import type { ChainHead } from '../ledger/contract.ts';
import { CHECKPOINT_TYPE, hasCanonicalSignature } from '../lib/jws-signature.ts';

/** A checkpoint as it was found at the end of an export. */
export interface ReadCheckpoint {
  readonly state: 'verified' | 'unchecked' | 'missing' | 'bad';
  /** Null unless it can be relied on as far as `state` says. */
  readonly heads: readonly ChainHead[] | null;
  /** How many rows go before it. */
  readonly rows: number | null;
  readonly issuer: string | null;
  /** RFC 3339. */
  readonly issuedAt: string | null;
  readonly problem: string | null;
}

const UNKNOWN = { heads: null, rows: null, issuer: null, issuedAt: null } as const;

export const NO_CHECKPOINT: ReadCheckpoint = {
  ...UNKNOWN,
  state: 'missing',
  problem: 'there is no checkpoint: the end of the export is cut off',
};

const bad = (problem: string): ReadCheckpoint => ({ ...UNKNOWN, state: 'bad', problem });

/** Reads what `signCheckpoint` made; `jwks` null leaves the signature unchecked. */
export async function readCheckpoint(jws: string, jwks: JSONWebKeySet | null): Promise<ReadCheckpoint> {
  const payload = jwks === null ? payloadOf(jws) : await verifiedPayload(jws, jwks);
  if (typeof payload === 'string') return bad(payload);
  const content = contentOf(payload);
  if (content === null) return bad('the checkpoint does not say what a checkpoint says');
  return { ...content, state: jwks === null ? 'unchecked' : 'verified', problem: null };
}

const NO_JWS = 'the checkpoint is no JWS';

function payloadOf(jws: string): Uint8Array | string {
  try {
    return base64url.decode(jws.split('.')[1] ?? '');
  } catch {
    return NO_JWS;
  }
}

async function verifiedPayload(jws: string, jwks: JSONWebKeySet): Promise<Uint8Array | string> {
  try {
    const { typ, kid } = decodeProtectedHeader(jws);
    if (typ !== CHECKPOINT_TYPE) return `the checkpoint is a JWS of another type: ${String(typ)}`;
    if (!hasCanonicalSignature(jws)) return 'the checkpoint is not signed by the given keys';
    try {
      return (await compactVerify(jws, createLocalJWKSet(jwks), { algorithms: ['EdDSA', 'Ed25519'] })).payload;
    } catch (error) {
      return error instanceof errors.JWKSNoMatchingKey
        ? `the checkpoint is signed by the key ${String(kid)}, which is not among the given ones`
        : 'the checkpoint is not signed by the given keys';
    }
  } catch {
    return NO_JWS;
  }
}

function contentOf(payload: Uint8Array): Pick<ReadCheckpoint, 'heads' | 'rows' | 'issuer' | 'issuedAt'> | null {
  try {
    const { heads, rows, iss, iat } = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
    if (!Array.isArray(heads) || !heads.every(isHead) || !Number.isSafeInteger(rows)) return null;
    return {
      heads,
      rows: rows as number,
      issuer: typeof iss === 'string' ? iss : null,
      issuedAt: typeof iat === 'number' ? new Date(iat * 1000).toISOString() : null,
    };
  } catch {
    return null;
  }
}

const isPlace = (x: unknown): x is { seq: number; hash: string } => {
  const { seq, hash } = (x ?? {}) as Record<string, unknown>;
  return Number.isSafeInteger(seq) && typeof hash === 'string';
};

const isHead = (x: unknown): x is ChainHead => {
  const { ledger, cut } = (x ?? {}) as Record<string, unknown>;
  return typeof ledger === 'string' && isPlace(x) && (cut === undefined || isPlace(cut));
};
