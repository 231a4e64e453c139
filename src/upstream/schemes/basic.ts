import type { Credential } from '../credential.ts';
import type { OutgoingRequest } from '../outgoing.ts';

/**
 * `Authorization: Basic base64(user-id:password)` (RFC 7617 §2).
 *
 * @param username  The user-id, with the secret as password; null makes the secret the user-id, with an empty password.
 */
export function injectBasic(username: string | null, secret: Credential, request: OutgoingRequest): OutgoingRequest {
  const pair = username === null ? `${secret.reveal()}:` : `${username}:${secret.reveal()}`;
  const octets = new TextEncoder().encode(pair);
  const authorization = `Basic ${btoa(String.fromCharCode(...octets))}`;
  return { ...request, fields: new Map(request.fields).set('authorization', authorization) };
}
