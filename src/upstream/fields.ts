import type { Denial } from '../denial.ts';
import type { Fault } from '../fault.ts';
import type { FieldMap, Fields } from '../lib/fields.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { methodOverrideIn } from '../policy/method-override.ts';
import type { CredentialSpec } from '../policy/ruled.ts';
import { isClientOnly, isUserMetadata, RANGES } from './client-fields.ts';
import { hopByHopOf, namedBy } from './hop-by-hop.ts';
import { linkOf, locationOf, type PublicPlace, referenceOf } from './redirect.ts';
import { remembered } from './remembered.ts';

/** Most fields, and most bytes of names and values together, that go to the upstream. */
export const MAX_REQUEST_FIELDS = 128;
export const MAX_REQUEST_FIELD_BYTES = 32 * 1024;

export interface RequestFieldOptions {
  /** The policy's scheme: the place where it puts the credential is emptied too. */
  readonly credential: CredentialSpec;
  /** Fields, lower case, that the policy drops besides. */
  readonly dropHeaders: readonly string[];
  /** Fields, lower case, that the policy sets unless the client did. */
  readonly defaultHeaders: Readonly<Record<string, string>>;
  /** Whether the policy lets ranges through. */
  readonly ranges: boolean;
  /** The capability token: a field that holds it travels no further, whatever its name. */
  readonly token?: string;
  /** The service's rights. Where none of them asks a person, `Prefer: wait` is said to the upstream; unknown is as if one did. */
  readonly capabilities?: readonly { readonly approval: object | null }[];
}

/**
 * What of the client's header section goes to the upstream, before injection.
 *
 * Everything but: hop-by-hop fields and those that `Connection` names (so that naming ours later takes nothing away);
 * what speaks of the way to us; cookies; whatever could carry a credential or move the request elsewhere; names with
 * another sign than `-`, unless the policy sets them. Method overrides, upgrades and ambiguous framing are refused aloud. `Expect: 100-continue` is dropped: the edge has answered it.
 *
 * `Accept-Encoding` becomes `identity`: an uncoded answer can be scrubbed and keeps its length. An upstream that codes
 * all the same is decoded by the runtime, if it can be.
 *
 * @returns New fields, or a `header_refused` denial that names the field and never its value.
 */
export function requestFields(incoming: Fields, options: RequestFieldOptions): Result<FieldMap, Denial> {
  const refusal = refusalOf(incoming);
  if (refusal !== null) return err(refusal);
  const hopByHop = hopByHopOf(incoming.get('connection') ?? null);
  const dropped = new Set(options.dropHeaders);
  if (options.credential.scheme === 'header') dropped.add(options.credential.header.toLowerCase());
  const passed: FieldMap = new Map();
  let count = 0;
  let size = 0;
  const { token } = options;
  for (const [name, value] of incoming) {
    if (hopByHop(name) || isClientOnly(name) || dropped.has(name)) continue;
    if (RANGES.has(name) && !options.ranges) continue;
    if (isAlias(name) && !Object.hasOwn(options.defaultHeaders, name)) continue;
    // RFC 9110 §5.5 allows more; two readers agree on these only.
    if (!/^[\t\x20-\x7e]*$/.test(value))
      return err(refused(name, 'its value holds a character outside printable ASCII'));
    if (token !== undefined && value.includes(token)) continue;
    const kept = name === 'prefer' && asksPeople(options) ? withoutWait(value) : value;
    if (kept === '' && value !== '') continue;
    count++;
    size += name.length + kept.length;
    passed.set(name, kept);
  }
  if (count > MAX_REQUEST_FIELDS) return err(refused('*', `more than ${MAX_REQUEST_FIELDS} fields`));
  if (size > MAX_REQUEST_FIELD_BYTES) return err(refused('*', `more than ${MAX_REQUEST_FIELD_BYTES} bytes of fields`));
  for (const [name, value] of Object.entries(options.defaultHeaders)) {
    if (!passed.has(name)) passed.set(name, value);
  }
  passed.set('accept-encoding', 'identity');
  return ok(passed);
}

/**
 * What rules may judge of the client's header section: not what the client itself keeps from being sent, by naming it in
 * `Connection` or by putting the token into it. Otherwise a body would be judged by a `Content-Type` that is then taken off,
 * and the upstream would read it as something else.
 *
 * What never travels, whoever sends it, stays: rules may ask whether it is there.
 */
export function judgedFields(incoming: FieldMap, token: string): FieldMap {
  const named = namedBy(incoming.get('connection') ?? null);
  let judged = incoming;
  for (const [name, value] of incoming) {
    if (isClientOnly(name) || !(named.has(name) || value.includes(token))) continue;
    if (judged === incoming) judged = new Map(incoming);
    judged.delete(name);
  }
  return judged;
}

/**
 * CGI, WSGI and their like (RFC 3875 §4.1.18) take `_` in a name for `-`, lighttpd takes every sign for it: `X_HTTP_Method_Override`
 * or `X.HTTP.Method.Override` would be to them what no rule saw. nginx and Apache drop such fields, too. Object stores keep a
 * user's own names as they are.
 */
const isAlias = (name: string): boolean => /[^a-z0-9-]/.test(name) && !isUserMetadata(name);

function refusalOf(incoming: Fields): Denial | null {
  const override = methodOverrideIn(incoming);
  if (override !== null) return override;
  for (const [name] of incoming) {
    if (name === 'upgrade' || name.startsWith('sec-websocket-')) {
      return refused('upgrade', 'protocol upgrades are not forwarded');
    }
  }
  // RFC 9112 §3.2: a server must refuse it. The runtime joins the two.
  const host = incoming.get('host') ?? '';
  if (host.includes(',')) return refused('host', 'it comes twice');
  // The runtime puts it before the target unread: `x/proxy/other?` would make another target of it.
  if (!/^(?:[\w.-]*|\[[\da-fA-F:.]+\])(?::\d{0,5})?$/.test(host)) return refused('host', 'it is no host');
  const expect = incoming.get('expect') ?? null;
  if (expect !== null && expect.trim().toLowerCase() !== '100-continue')
    return refused('expect', 'only 100-continue is known');
  const coding = incoming.get('transfer-encoding') ?? null;
  if (coding !== null && coding.trim().toLowerCase() !== 'chunked')
    return refused('transfer-encoding', 'only chunked is known');
  const length = incoming.get('content-length') ?? null;
  if (length !== null && !/^\d{1,15}$/.test(length)) return refused('content-length', 'it is not one number');
  if (length !== null && coding !== null) return refused('content-length', 'it comes with transfer-encoding');
  return null;
}

const refused = (header: string, why: string): Denial => ({ kind: 'header_refused', header, why });

const asksPeople = ({ capabilities }: RequestFieldOptions): boolean =>
  capabilities?.some(({ approval }) => approval !== null) ?? true;

/** `Prefer` without `wait`, which is said to us (RFC 7240 §4.3). */
function withoutWait(prefer: string): string {
  const preferences = prefer.split(',').map((preference) => preference.trim());
  return preferences.filter((preference) => !/^wait\s*(?:[=;]|$)/i.test(preference)).join(', ');
}

/** Fields about the upstream's own connection, host, sessions or browsers, which would be taken as being about us. */
const UPSTREAM_ONLY: ReadonlySet<string> = new Set([
  'set-cookie',
  'set-cookie2',
  'www-authenticate',
  'authentication-info',
  'authentication-control',
  'optional-www-authenticate',
  'alt-svc',
  'alt-used',
  'strict-transport-security',
  'public-key-pins',
  'expect-ct',
  'clear-site-data',
  'nel',
  'report-to',
  'reporting-endpoints',
  'content-security-policy',
  'content-security-policy-report-only',
  'service-worker-allowed',
  'refresh',
  'x-sendfile',
  'via',
  'cdn-cache-control',
  'cloudflare-cdn-cache-control',
  'surrogate-control',
]);
const UPSTREAM_ONLY_PREFIX = /^(?:cf-|proxy-|access-control-|x-accel-|sec-websocket-|x-keywarden-|keywarden-)/;
const CACHING: ReadonlySet<string> = new Set(['age', 'expires', 'pragma']);
/** Digests of the bytes before decoding; `Repr-Digest` is of the representation (RFC 9530 §3), which with a coding is those. */
const OF_CODED_BYTES: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'content-md5',
  'digest',
  'content-digest',
  'repr-digest',
]);

const isUpstreamOnly = remembered((name) => UPSTREAM_ONLY.has(name) || UPSTREAM_ONLY_PREFIX.test(name));

export interface ResponseFieldOptions extends PublicPlace {
  readonly status: number;
  /** Whether the policy lets the upstream's caching fields pass. */
  readonly cache: boolean;
  /** Whether the policy lets ranges through. */
  readonly ranges: boolean;
  /** Whether the runtime takes off a content coding (see `decodable`). */
  readonly decoded: boolean;
  /** Whether as many bytes go out as the upstream said: an unscrubbed body, a HEAD, or a scrub that keeps the length. */
  readonly keepLength: boolean;
}

/**
 * What of the upstream's header section goes to the client; values are scrubbed elsewhere.
 *
 * `ETag` stays, also of a decoded or redacted body: it is the upstream's handle for a later request, not a digest. Digests
 * of an uncoded body stay too, so that a client which checks them notices a redaction. Answers are sandboxed for browsers,
 * since on our origin there is the console.
 *
 * An address on the service's own origin becomes ours, in whatever field it is the whole value: followed past us it would be
 * a call without a rule and without a row, and would take the token there.
 *
 * @returns The fields; or an `upstream_redirect_refused` fault when a 3xx points where the policy does not allow.
 */
export function responseFields(upstream: Fields, options: ResponseFieldOptions): Result<FieldMap, Fault> {
  const hopByHop = hopByHopOf(upstream.get('connection') ?? null);
  const passed: FieldMap = new Map();
  for (const [name, value] of upstream) {
    if (hopByHop(name) || isUpstreamOnly(name) || (options.decoded && OF_CODED_BYTES.has(name))) continue;
    // Where to go on with an upload or to ask for a result (`X-Goog-Upload-URL`, `Operation-Location`): an SDK goes there by itself.
    const onItself = name !== 'location' && value.startsWith(options.origin);
    passed.set(name, onItself ? referenceOf(value, options) : value);
  }
  if (!options.keepLength) passed.delete('content-length');
  // RFC 9110 §14.3: no range of the client's gets as far as the upstream, so that what it promises we would not keep.
  if (!options.ranges && passed.has('accept-ranges')) passed.set('accept-ranges', 'none');
  setCaching(passed, options.cache);
  passed.set('content-security-policy', "default-src 'none'; sandbox");
  passed.set('x-content-type-options', 'nosniff');

  const location = passed.get('location');
  if (location !== undefined) {
    const allowed = locationOf(location, options);
    if (allowed.ok) passed.set('location', allowed.value);
    else if (options.status >= 300 && options.status < 400 && options.status !== 304) return allowed;
    // A 201 or 304 that names its resource elsewhere is no redirect: nobody follows it, and the rest of the answer counts.
    else passed.delete('location');
  }
  const contentLocation = passed.get('content-location');
  if (contentLocation !== undefined) passed.set('content-location', referenceOf(contentLocation, options));
  const link = passed.get('link');
  if (link !== undefined) passed.set('link', linkOf(link, options));
  return ok(passed);
}

/** `no-store`, or the upstream's own words without what would let a shared cache give one agent's answer to another. */
function setCaching(headers: FieldMap, cache: boolean): void {
  const said = headers.get('cache-control');
  if (!cache || said === undefined) {
    for (const name of CACHING) headers.delete(name);
    headers.set('cache-control', 'no-store');
    return;
  }
  // A comma may stand in a quoted list of fields (RFC 9111 §5.2.2.7).
  const directives = (said.match(/(?:"(?:[^"\\]|\\.)*"|[^",])+/g) ?? [])
    .map((directive) => directive.trim())
    .filter((directive) => !/^(?:public|private|s-maxage|proxy-revalidate)\b/i.test(directive) && directive !== '');
  headers.set('cache-control', ['private', ...directives].join(', '));
}
