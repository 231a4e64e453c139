import type { Credential } from '../credential.ts';
import type { OutgoingRequest } from '../outgoing.ts';

/** `Authorization: Bearer <secret>` (RFC 6750 §2.1). */
export function injectBearer(secret: Credential, request: OutgoingRequest): OutgoingRequest {
  return { ...request, fields: new Map(request.fields).set('authorization', `Bearer ${secret.reveal()}`) };
}
