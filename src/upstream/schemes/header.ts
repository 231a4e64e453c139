import type { Credential } from '../credential.ts';
import type { OutgoingRequest } from '../outgoing.ts';

/** `<header>: <prefix><secret>`: a vendor's own field, such as `x-api-key`. */
export function injectHeader(
  spec: { readonly header: string; readonly prefix: string },
  secret: Credential,
  request: OutgoingRequest,
): OutgoingRequest {
  return { ...request, fields: new Map(request.fields).set(spec.header.toLowerCase(), spec.prefix + secret.reveal()) };
}
