/** Fields of one connection, not of the message (RFC 9110 §7.6.1; RFC 9112; and those still seen). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
]);

/** Whether a field must not be forwarded: hop-by-hop by definition, or because `Connection` names it. */
export function hopByHopOf(headers: Headers): (name: string) => boolean {
  const named = new Set((headers.get('connection') ?? '').split(',').map((option) => option.trim().toLowerCase()));
  return (name) => HOP_BY_HOP.has(name) || named.has(name);
}
