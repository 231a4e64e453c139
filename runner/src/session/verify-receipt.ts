import { readFileSync } from 'node:fs';
import type { NoReceipt } from '../../../src/offline.ts';
import type { SessionReceipt } from '../../../src/protocol.ts';
import { Failure } from '../failure.ts';
import { offline } from '../policy/compile.ts';
import { codeOf } from '../state/private-file.ts';
import { parseReceiptFile, sha256Of } from './receipt.ts';

export type Verification =
  | { readonly ok: true; readonly receipt: SessionReceipt; readonly sha256: string }
  | { readonly ok: false; readonly why: string };

const WHY: Readonly<Record<NoReceipt['kind'], string>> = {
  not_by_key: 'the signature is not by this key, or the receipt was altered',
  of_another_type: 'it is signed, but no receipt',
  of_unknown_form: 'it is signed, but of a form that this keywarden does not know',
};

/**
 * Verifies a receipt offline, by a key that the verifier trusts: never by one from the receipt itself.
 *
 * @param x  The runner's public key: `x` of its Ed25519 JWK.
 */
export async function verifyReceiptFile(text: string, where: string, x: string): Promise<Verification> {
  const { jws, receipt } = parseReceiptFile(text, where);
  const { verifyReceipt } = await offline();
  const verified = await verifyReceipt(jws, { kty: 'OKP', crv: 'Ed25519', x });
  if (!verified.ok) return { ok: false, why: WHY[verified.error.kind] };
  const { stated } = verified.value;
  const whole = receipt === null ? { jws } : { receipt: stated, jws };
  const same = receipt === null || JSON.stringify(receipt) === JSON.stringify(stated);
  if (text.trim() !== jws && !(same && squeezed(text) === squeezed(JSON.stringify(whole)))) {
    return { ok: false, why: 'what the file shows is not what was signed' };
  }
  return { ok: true, receipt: verified.value.receipt, sha256: sha256Of(jws) };
}

/** However it is laid out. Of a member that is there twice a parser shows but one: so the letters are compared, too. */
const squeezed = (text: string): string => text.replace(/\s+/g, '');

/** Reads a file of a receipt that a person named. */
export function readReceiptFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const why = codeOf(error) === 'ENOENT' ? 'there is no such file' : (error as Error).message;
    throw new Failure(`cannot read ${path}: ${why}`, 'name a file of a receipt, or the id of a session that ran here');
  }
}
