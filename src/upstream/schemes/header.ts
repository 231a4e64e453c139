import type { Credential } from '../credential.ts';
import type { OutgoingRequest } from '../outgoing.ts';

/** `<header>: <prefix><secret>`: a vendor's own field, such as `x-api-key`. */
export function injectHeader(
  spec: { readonly header: string; readonly prefix: string },
  secret: Credential,
  request: OutgoingRequest,
): OutgoingRequest {
  const headers = new Headers(request.headers);
  headers.set(spec.header, spec.prefix + secret.reveal());
  return { ...request, headers };
}
