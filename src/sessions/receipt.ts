import { compactVerify, importJWK } from 'jose';
import { err, ok, type Result } from '../lib/result.ts';
import { RECEIPT_TYPE, type RunnerKey, SessionReceipt } from '../protocol.ts';

export interface VerifiedReceipt {
  readonly receipt: SessionReceipt;
  /** The same as it was signed, in its own order. */
  readonly stated: unknown;
}

export interface NoReceipt {
  readonly kind: 'not_by_key' | 'of_another_type' | 'of_unknown_form';
  readonly why: string;
}

const no = (kind: NoReceipt['kind'], why: string): Result<never, NoReceipt> => err({ kind, why });

/**
 * Verifies a session's receipt: a compact JWS (RFC 7515) by the key that the runner announced when the session started, and
 * by no other: a key inside the receipt would prove nothing.
 *
 * @returns What it states, or why it is none.
 */
export async function verifyReceipt(jws: string, key: RunnerKey): Promise<Result<VerifiedReceipt, NoReceipt>> {
  let payload: Uint8Array;
  try {
    const publicKey = await importJWK({ ...key, alg: 'EdDSA' }, 'EdDSA');
    const verified = await compactVerify(jws, publicKey, { algorithms: ['EdDSA'] });
    if (verified.protectedHeader.typ !== RECEIPT_TYPE) return no('of_another_type', `its typ is not ${RECEIPT_TYPE}`);
    payload = verified.payload;
  } catch {
    return no('not_by_key', 'its signature is not by the key that this session was announced with');
  }
  let stated: unknown;
  try {
    stated = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload));
  } catch {
    return no('of_unknown_form', 'it holds no JSON');
  }
  const parsed = SessionReceipt.safeParse(stated);
  if (parsed.success) return ok({ receipt: parsed.data, stated });
  const issues = parsed.error.issues.map((i) => `${i.path.join('.') || 'receipt'}: ${i.message}`);
  return no('of_unknown_form', issues.join('; '));
}
