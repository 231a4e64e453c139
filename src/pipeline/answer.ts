import type { Fault } from '../fault.ts';
import { fieldsOf, lengthOf, recordOf } from '../lib/fields.ts';
import { ok, type Result } from '../lib/result.ts';
import { setRateLimitFields } from '../problem/rate-limit.ts';
import { REQUEST_ID_FIELD } from '../problem/response.ts';
import { MIN_SECRET_LENGTH } from '../upstream/credential.ts';
import { responseFields } from '../upstream/fields.ts';
import { decodable } from '../upstream/scrub/coding.ts';
import { type Scrubber, scrubberOf } from '../upstream/scrub/scrubber.ts';
import type { Forwarded } from './call.ts';
import { type BodyEnd, streamScrubbed } from './stream-scrubbed.ts';

/** Statuses whose answers have no content (RFC 9110 §15.3.5, §15.3.6, §15.4.5). */
const NO_CONTENT = new Set([204, 205, 304]);

/**
 * Step 7: the upstream's answer, without the credential in any spelling, in status line, header fields or body.
 *
 * A body that is whole in its first chunk is scrubbed and sent with its length; any other streams, chunk by chunk.
 *
 * @param more  Further fields of ours.
 * @param onEnd Called once, when the answer has been sent whole, broke off, or was cancelled by the client.
 */
export async function answer(
  forwarded: Forwarded,
  more: Readonly<Record<string, string>>,
  onEnd: (end: BodyEnd) => void,
): Promise<Result<Response, Fault>> {
  const { injected, response } = forwarded;
  const { authorized, limits } = injected.admitted;
  const { call, policy } = authorized;
  const scrubber = policy.response.scrub ? scrubberOf(injected.credentials) : null;

  const upstream = fieldsOf(response.headers);
  const coding = decodable(upstream.get('content-encoding') ?? null);
  // Some servers label an empty answer like any other; the runtime would look for the coding's own bytes in it.
  const empty = upstream.get('content-length') === '0';
  const declared = lengthOf(upstream);
  // The runtime makes a stream of a body that is asked for, a twentieth of a call's time: what has a length has a body.
  const absent = !declared && response.body === null;
  const bodiless = absent || call.request.method === 'HEAD' || NO_CONTENT.has(response.status);
  // What nobody looks into passes in a coding that nobody can take off, too.
  const opaque = coding.ok || scrubber === null ? null : coding.error;
  // Of a HEAD or a 304, too: they speak of what a GET would bring, and a cache would join them with that.
  const decoded = coding.ok ? coding.value.decoded : opaque !== null;
  const fields = responseFields(upstream, {
    service: policy.service,
    origin: policy.origin,
    upstreamUrl: askedUrlOf(forwarded),
    publicBase: call.publicOrigin,
    redirects: policy.response.redirects,
    samePathPages: policy.response.samePathPages === true,
    status: response.status,
    cache: policy.response.cache,
    ranges: policy.response.ranges,
    decoded,
    keepLength: call.request.method === 'HEAD',
  });
  if (!fields.ok) {
    forwarded.abort();
    return fields;
  }
  const clean = scrubber?.fields(fields.value) ?? { fields: fields.value, hits: 0 };
  // RFC 9112 §4 allows a tab, which the runtime takes and does not give.
  const statusText = scrubbedStatusText(response.statusText.replaceAll('\t', ' '), scrubber);
  const redactions = clean.hits + statusText.hits;

  const outgoing = clean.fields;
  outgoing.set(REQUEST_ID_FIELD, call.requestId);
  outgoing.set('proxy-status', `keywarden; received-status=${response.status}`);
  setRateLimitFields(outgoing, limits);
  for (const [name, value] of Object.entries(more)) outgoing.set(name, value);
  const made = (body: BodyInit | null): Response =>
    new Response(body, { status: response.status, statusText: statusText.text, headers: recordOf(outgoing) });

  if (bodiless || (empty && decoded)) {
    forwarded.deadline.clear();
    onEnd({ bytes: 0, redactions, fault: null });
    return ok(made(null));
  }
  const body = await streamScrubbed(forwarded, {
    scrubber,
    redactions,
    length: decoded ? null : declared,
    coded: decoded,
    opaque,
    onEnd,
  });
  if (!body.ok) return body;
  if (body.value.length !== null) outgoing.set('content-length', String(body.value.length));
  return ok(made(body.value.body));
}

/**
 * What a reference is relative to. The query is the client's own, with the token where its SDK puts one: under the query
 * scheme the one that was sent holds the credential.
 */
function askedUrlOf({ injected: { request, admitted } }: Forwarded): string {
  const { query } = admitted.authorized.call;
  return `${request.origin}${request.path}${query === '' ? '' : `?${query}`}`;
}

/** Nearly always `OK` or the like, in which no credential can be. */
function scrubbedStatusText(text: string, scrubber: Scrubber | null): { readonly text: string; readonly hits: number } {
  return scrubber === null || text.length < MIN_SECRET_LENGTH ? { text, hits: 0 } : scrubber.text(text);
}
