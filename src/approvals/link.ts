import { timingSafeEqual } from 'node:crypto';
import { hmacHex } from '../webhook/signature.ts';

const encoder = new TextEncoder();

/**
 * Decision links in messages, signed by the secret that signs the messages themselves: hence the label. Pure.
 *
 * A link decides nothing by itself: it leads to the console's sign-in, and who signed in there presents it.
 */
const signatureOfLink = (secret: string, approval: string, nonce: string, expiry: number | string): string =>
  hmacHex(secret, `keywarden.approval-link.1\n${approval}.${nonce}.${expiry}`);

/** `<nonce>.<expiry, Unix seconds>.<signature>` for one approval. */
export function linkOf(secret: string, approval: string, nonce: string, expiresAtMs: number): string {
  const expiry = Math.floor(expiresAtMs / 1000);
  return `${nonce}.${expiry}.${signatureOfLink(secret, approval, nonce, expiry)}`;
}

/** The link's nonce, or null when it is not one of ours, for another approval, or too old. */
export function nonceOfLink(secret: string, approval: string, link: string, now: number): string | null {
  const match = /^([0-9a-f-]{36})\.(\d{1,12})\.([0-9a-f]{64})$/.exec(link);
  if (match === null) return null;
  const [, nonce = '', expiry = '', signature = ''] = match;
  const expected = signatureOfLink(secret, approval, nonce, expiry);
  return timingSafeEqual(encoder.encode(expected), encoder.encode(signature)) && Number(expiry) * 1000 > now
    ? nonce
    : null;
}
