import { Credential } from '../credential.ts';
import type { OutgoingRequest } from '../outgoing.ts';

/**
 * `Authorization: Basic base64(user-id:password)` (RFC 7617 §2).
 *
 * @param username  The user-id, with the secret as password; null makes the secret the user-id, with an empty password.
 */
export function injectBasic(username: string | null, secret: Credential, request: OutgoingRequest): OutgoingRequest {
  const authorization = `Basic ${encodedPair(username, secret)}`;
  return { ...request, fields: new Map(request.fields).set('authorization', authorization) };
}

/** The pair as it stands in the field, by which whoever reads it there is the secret's holder too; without padding, which tells nothing. */
export const pairAsSent = (username: string | null, secret: Credential): Credential =>
  new Credential(encodedPair(username, secret).replace(/=+$/, ''));

function encodedPair(username: string | null, secret: Credential): string {
  const pair = username === null ? `${secret.reveal()}:` : `${username}:${secret.reveal()}`;
  return btoa(String.fromCharCode(...new TextEncoder().encode(pair)));
}
