import { Credential } from '../credential.ts';
import type { OutgoingRequest } from '../outgoing.ts';

/** `?<param>=<secret>`, appended to the client's query, from which its own parameter of that name is taken out. */
export function injectQuery(param: string, secret: Credential, request: OutgoingRequest): OutgoingRequest {
  const own = `${escaped(param)}=${escaped(secret.reveal())}`;
  const rest = withoutParam(request.query, param);
  return { ...request, query: rest === '' ? own : `${rest}&${own}` };
}

/** The secret as it stands in the address. */
export const valueAsSent = (secret: Credential): Credential => new Credential(escaped(secret.reveal()));

/**
 * A query without the parameters that any server might read under a name.
 *
 * Names are compared percent-decoded, without regard to case, to white space around them and to brackets around or after
 * them (Rack drops those before), and dots and spaces within as `_` (PHP); `;` separates as `&` does. All other bytes stay
 * as they are.
 */
export function withoutParam(query: string, param: string): string {
  const name = comparable(param);
  const isOther = (pair: string): boolean => comparable(pair.split('=', 1)[0] as string) !== name;
  const kept: string[] = [];
  for (const pairs of query.split('&')) {
    const others = pairs.split(';').filter(isOther).join(';');
    if (others !== '' || pairs === '') kept.push(others);
  }
  return kept.join('&');
}

/** Bytes as Latin-1: an overlong or broken escape must not hide the rest of a name. */
function comparable(name: string): string {
  return name
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, pair: string) => String.fromCharCode(Number.parseInt(pair, 16)))
    .replace(/^[\s\0[\]]+/, '')
    .replace(/[[\]].*$/s, '')
    .replace(/[\s\0]+$/, '')
    .replace(/[.\s]/g, '_')
    .toLowerCase();
}

/** RFC 3986 §2.1: everything but unreserved characters. */
function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
