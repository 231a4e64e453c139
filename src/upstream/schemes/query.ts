import { percentEncoded } from '../../lib/percent-encoded.ts';
import { looseName, withoutParams } from '../../lib/query-params.ts';
import { Credential } from '../credential.ts';
import type { OutgoingRequest } from '../outgoing.ts';

/** `?<param>=<secret>`, appended to the client's query, from which its own parameter of that name is taken out. */
export function injectQuery(param: string, secret: Credential, request: OutgoingRequest): OutgoingRequest {
  const own = `${percentEncoded(param)}=${percentEncoded(secret.reveal())}`;
  const rest = withoutParam(request.query, param);
  return { ...request, query: rest === '' ? own : `${rest}&${own}` };
}

/** The secret as it stands in the address. */
export const valueAsSent = (secret: Credential): Credential => new Credential(percentEncoded(secret.reveal()));

/** A query without the parameters that any server might read under a name. */
export function withoutParam(query: string, param: string): string {
  const own = looseName(param);
  return withoutParams(query, (name) => name === own);
}
