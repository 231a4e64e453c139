/**
 * By which address the client reached whoever handed its request on to us, when that is not ours: a sandbox knows the edge as
 * something on its own loopback. Addresses in our answers begin with it, and nothing else depends on it.
 */
export const BASE_FIELD = 'keywarden-base';

/** Only on the client's own host: an answer leads nobody elsewhere. */
const LOOPBACK = /^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/;

/**
 * The origin with which addresses for this client begin.
 *
 * @param said  The {@link BASE_FIELD}, or nothing.
 * @param own   Scheme, host and port of the request as we got it.
 */
export const publicOriginOf = (said: string | null | undefined, own: string): string =>
  said !== null && said !== undefined && LOOPBACK.test(said) ? said : own;
