import { type Fault, fault } from '../fault.ts';
import { err, ok, type Result } from '../lib/result.ts';

/** Where a service stands, from the upstream's side and from the client's. */
export interface PublicPlace {
  /** The service's id. */
  readonly service: string;
  /** The policy's origin: scheme, host and port. */
  readonly origin: string;
  /** The URL that was asked, with its query, for relative references (RFC 3986 §5). */
  readonly upstreamUrl: string;
  /** Our own origin as the client knows it, without a slash at its end. */
  readonly publicBase: string;
  /** Origins besides the service's own to which a Location may point. */
  readonly redirects: readonly string[];
  /** Whether further pages keep the path of `upstreamUrl`, whatever path their links name. */
  readonly samePathPages?: boolean;
}

/**
 * The Location (RFC 9110 §10.2.2) that the client may see: the service's own origin becomes the proxy's path, so that
 * following it is a new call under the same policy; any other is refused unless the policy lists it.
 *
 * Scheme, host and port all count: a downgrade to `http`, another port or a subdomain is another origin. User
 * information, backslashes, white space and controls are refused, since readers disagree about them.
 *
 * @returns An absolute URL; or an `upstream_redirect_refused` fault that says what kind of place it was and quotes nothing.
 */
export function locationOf(value: string, place: PublicPlace): Result<string, Fault> {
  const url = resolved(value, place.upstreamUrl);
  if (typeof url === 'string') return err(fault('upstream_redirect_refused', `the Location ${url}`));
  if (sameOrigin(url, place.origin)) return ok(publicUrlOf(url, place));
  if (place.redirects.some((origin) => sameOrigin(url, origin))) return ok(url.href);
  const own = new URL(place.origin);
  if (url.hostname !== own.hostname) return err(fault('upstream_redirect_refused', 'the Location is on another host'));
  const what = url.protocol === own.protocol ? 'port' : 'scheme';
  return err(fault('upstream_redirect_refused', `the Location is on another ${what} of the same host`));
}

/** A reference that is not followed by itself, such as Content-Location: the service's own becomes ours, others stay. */
export function referenceOf(value: string, place: PublicPlace): string {
  const url = resolved(value, place.upstreamUrl);
  return typeof url !== 'string' && sameOrigin(url, place.origin) ? publicUrlOf(url, place) : value;
}

/**
 * A Link field (RFC 8288 §3): every target as by {@link referenceOf}; parameters, quoted ones too, stay as they are.
 *
 * Where the policy says so, a further page keeps the path that was asked: GitHub's links to the pages of `/repos/acme/site/issues`
 * name `/repositories/8514/issues`, of which no rule could tell whose it is.
 */
export function linkOf(value: string, place: PublicPlace): string {
  return value.replace(
    /"(?:[^"\\]|\\.)*"|<([^<>]*)>((?:"(?:[^"\\]|\\.)*"|[^"<,])*)/g,
    (all, target: string | undefined, params: string) =>
      target === undefined ? all : `<${linkTargetOf(target.trim(), params, place)}>${params}`,
  );
}

const PAGE = /;\s*rel\s*=\s*(?:"(?:[^"]*\s)?(?:next|prev|first|last)(?:\s[^"]*)?"|(?:next|prev|first|last)(?![\w-]))/i;

function linkTargetOf(target: string, params: string, place: PublicPlace): string {
  if (place.samePathPages !== true || !PAGE.test(params)) return referenceOf(target, place);
  const url = resolved(target, place.upstreamUrl);
  if (typeof url === 'string' || !sameOrigin(url, place.origin)) return target;
  url.pathname = new URL(place.upstreamUrl).pathname;
  return publicUrlOf(url, place);
}

/** The absolute URL, or what is wrong with the reference. */
function resolved(value: string, base: string): URL | string {
  if (value.length > 8192) return 'is too long';
  // UTF-8 is percent-encoded, as browsers do it (WHATWG URL): what leaves is ASCII.
  if (!/^[\x21-\x7e\xa0-\u{10ffff}]*$/u.test(value)) return 'holds white space or a control';
  if (value.includes('\ufffd')) return 'is not in UTF-8';
  if (value.includes('\\')) return 'holds a backslash';
  const url = URL.canParse(value, base) ? new URL(value, base) : null;
  if (url === null) return 'is no URL reference';
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'is no http URL';
  // An empty one is gone after parsing, so the text is asked too.
  if (url.username !== '' || url.password !== '' || /^(?:[a-z][a-z0-9+.-]*:)?\/\/[^/?#]*@/i.test(value))
    return 'holds user information';
  return url;
}

const sameOrigin = (url: URL, origin: string): boolean => URL.canParse(origin) && url.origin === new URL(origin).origin;

const publicUrlOf = (url: URL, place: PublicPlace): string =>
  `${place.publicBase}/proxy/${place.service}${url.pathname}${url.search}${url.hash}`;
