/** A person works for a morning; then the key, or a new link, is asked for. */
export const SESSION_SECONDS = 4 * 3600;
/** Long enough to open a link that was just printed. */
export const LINK_SECONDS = 15 * 60;

/** 256 bits, base64url. */
const CODE = /^[A-Za-z0-9_-]{43}$/;

const nameOf = (secure: boolean): string => (secure ? '__Host-keywarden' : 'keywarden');

/** Whether a cookie may be given at this address: under TLS, or to a browser on the same machine. */
export function transportOf(url: string): 'tls' | 'loopback' | 'open' {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:') return 'tls';
  const local =
    hostname === 'localhost' || hostname.endsWith('.localhost') || /^(?:127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname);
  return local ? 'loopback' : 'open';
}

/** The session's code in a Cookie field (RFC 6265 §5.4), or null. Two of the name are none: one was planted. */
export function codeOf(cookies: string | undefined, url: string): string | null {
  const name = nameOf(transportOf(url) === 'tls');
  const values = (cookies ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  const [code] = values;
  return values.length === 1 && code !== undefined && CODE.test(code) ? code : null;
}

/**
 * `Set-Cookie` for a session, or for its end when `code` is null. On loopback cookies know no ports: the path keeps this one
 * from the pages of other local servers.
 */
export function cookieOf(code: string | null, url: string): string {
  const secure = transportOf(url) === 'tls';
  const fields = [
    `${nameOf(secure)}=${code ?? ''}`,
    `Path=${secure ? '/' : '/v1'}`,
    `Max-Age=${code === null ? 0 : SESSION_SECONDS}`,
    'HttpOnly',
    'SameSite=Strict',
    ...(secure ? ['Secure'] : []),
  ];
  return fields.join('; ');
}

/** What a browser says of where a request comes from. */
export interface RequestOrigin {
  readonly method: string;
  readonly url: string;
  readonly origin: string | undefined;
  readonly secFetchSite: string | undefined;
  /** The console's own field. */
  readonly marked: boolean;
}

/**
 * Whether a request that a browser signed by itself (a cookie, an Access assertion) came from another site's page.
 *
 * @param ambient `cookie`: what changes something must carry the console's own field and our origin too.
 */
export function isForeign(from: RequestOrigin, ambient: 'cookie' | 'access'): boolean {
  const own = new URL(from.url).origin;
  if (from.secFetchSite !== undefined && !['same-origin', 'none'].includes(from.secFetchSite)) return true;
  if (from.origin !== undefined && from.origin !== own) return true;
  const reads = from.method === 'GET' || from.method === 'HEAD';
  if (reads || ambient === 'access') return false;
  return from.origin !== own || !from.marked;
}
