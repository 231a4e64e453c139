import { compactVerify, importJWK } from 'jose';
import { err, ok, type Result } from '../lib/result.ts';
import { RECEIPT_TYPE, type RunnerKey, SessionReceipt } from '../protocol.ts';

/**
 * Verifies a session's receipt: a compact JWS (RFC 7515) by the key that the runner announced when the session started, and
 * by no other: a key inside the receipt would prove nothing.
 *
 * @returns What it states, or why it is none.
 */
export async function verifyReceipt(jws: string, key: RunnerKey): Promise<Result<SessionReceipt, string>> {
  let payload: Uint8Array;
  try {
    const publicKey = await importJWK({ ...key, alg: 'EdDSA' }, 'EdDSA');
    const verified = await compactVerify(jws, publicKey, { algorithms: ['EdDSA'] });
    if (verified.protectedHeader.typ !== RECEIPT_TYPE) return err(`its typ is not ${RECEIPT_TYPE}`);
    payload = verified.payload;
  } catch {
    return err('its signature is not by the key that this session was announced with');
  }
  let written: unknown;
  try {
    written = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload));
  } catch {
    return err('it holds no JSON');
  }
  const parsed = SessionReceipt.safeParse(written);
  if (parsed.success) return ok(parsed.data);
  return err(parsed.error.issues.map((i) => `${i.path.join('.') || 'receipt'}: ${i.message}`).join('; '));
}
