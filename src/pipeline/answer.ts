import type { Fault } from '../fault.ts';
import { ok, type Result } from '../lib/result.ts';
import { setRateLimitFields } from '../problem/rate-limit.ts';
import { REQUEST_ID_FIELD } from '../problem/response.ts';
import { MIN_SECRET_LENGTH } from '../upstream/credential.ts';
import { responseFields } from '../upstream/fields.ts';
import { decodable } from '../upstream/scrub/coding.ts';
import { type Scrubber, scrubberOf } from '../upstream/scrub/scrubber.ts';
import type { Forwarded } from './call.ts';
import { type BodyEnd, streamScrubbed } from './stream-scrubbed.ts';

const BODILESS = new Set([204, 205, 304]);

/**
 * Step 6: the upstream's answer, without the credential in any spelling, in status line, header fields or body.
 *
 * A body that is whole in its first chunk is scrubbed and sent with its length; any other streams, chunk by chunk.
 *
 * @param onEnd Called once, when the answer has been sent whole, broke off, or was cancelled by the client.
 */
export async function answer(forwarded: Forwarded, onEnd: (end: BodyEnd) => void): Promise<Result<Response, Fault>> {
  const { injected, response } = forwarded;
  const { authorized, limits } = injected.admitted;
  const { call, policy } = authorized;
  const scrubber = policy.response.scrub ? scrubberOf(injected.credentials) : null;

  const coding = decodable(response.headers.get('content-encoding'));
  if (!coding.ok && response.body !== null) {
    forwarded.abort();
    return coding;
  }
  const bodiless = response.body === null || call.request.method === 'HEAD' || BODILESS.has(response.status);
  const fields = responseFields(response.headers, {
    service: policy.service,
    origin: policy.origin,
    upstreamUrl: `${injected.request.origin}${injected.request.path}`,
    publicBase: call.publicOrigin,
    redirects: policy.response.redirects,
    status: response.status,
    cache: policy.response.cache,
    decoded: !bodiless && isCoded(response.headers),
    keepLength: call.request.method === 'HEAD',
  });
  if (!fields.ok) {
    forwarded.abort();
    return fields;
  }
  const clean = scrubber?.fields(fields.value) ?? { fields: fields.value, hits: 0 };
  const statusText = scrubbedStatusText(response.statusText, scrubber);
  const redactions = clean.hits + statusText.hits;

  const headers = new Headers();
  for (const [name, value] of clean.fields) headers.set(name, value);
  headers.set(REQUEST_ID_FIELD, call.requestId);
  headers.set('proxy-status', `keywarden; received-status=${response.status}`);
  setRateLimitFields(headers, limits);
  const init = { status: response.status, statusText: statusText.text, headers };

  if (bodiless) {
    forwarded.deadline.clear();
    onEnd({ bytes: 0, redactions, reason: null });
    return ok(new Response(null, init));
  }
  const body = await streamScrubbed(forwarded, {
    scrubber,
    redactions,
    length: lengthOf(response.headers),
    coded: isCoded(response.headers),
    onEnd,
  });
  if (!body.ok) return body;
  if (body.value.length !== null) headers.set('content-length', String(body.value.length));
  return ok(new Response(body.value.body, init));
}

/** Nearly always `OK` or the like, in which no credential can be. */
function scrubbedStatusText(text: string, scrubber: Scrubber | null): { readonly text: string; readonly hits: number } {
  return scrubber === null || text.length < MIN_SECRET_LENGTH ? { text, hits: 0 } : scrubber.text(text);
}

/** The body's exact length on the wire, or null when it is unknown or a coding will be undone. */
function lengthOf(headers: Headers): number | null {
  const length = headers.get('content-length');
  return length === null || !/^\d{1,15}$/.test(length) || isCoded(headers) ? null : Number(length);
}

const isCoded = (headers: Headers): boolean => {
  const coding = headers.get('content-encoding');
  return coding !== null && coding.trim().toLowerCase() !== 'identity';
};
