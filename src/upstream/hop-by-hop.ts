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

const byDefinition = (name: string): boolean => HOP_BY_HOP.has(name);

const NONE: ReadonlySet<string> = new Set();

/** The fields that a message's `Connection` names, or nothing where it is one of the usual words. */
export function namedBy(connection: string | null): ReadonlySet<string> {
  if (connection === null || connection === 'keep-alive' || connection === 'close') return NONE;
  return new Set(connection.split(',').map((option) => option.trim().toLowerCase()));
}

/**
 * Whether a field must not be forwarded: hop-by-hop by definition, or because `Connection` names it.
 *
 * @param connection  The message's `Connection` field, or null.
 */
export function hopByHopOf(connection: string | null): (name: string) => boolean {
  const named = namedBy(connection);
  return named === NONE ? byDefinition : (name) => HOP_BY_HOP.has(name) || named.has(name);
}
