import type { Denial } from '../denial.ts';
import type { Fault } from '../fault.ts';
import type { LimitState } from '../ledger/contract.ts';
import type { ErrorShape } from '../policy/ruled.ts';
import { problemOf } from './problem.ts';
import type { PublicProblem } from './public-problem.ts';
import { setRateLimitFields } from './rate-limit.ts';
import { shapeOf } from './shapes.ts';

export const REQUEST_ID_FIELD = 'keywarden-request-id';

/** Where the service's SDK looks for the id of a call, which it shows with its error: by it the audit tells why. */
const SERVICES_REQUEST_ID_FIELD: Partial<Readonly<Record<ErrorShape, string>>> = {
  stripe: 'request-id',
  openai: 'x-request-id',
  anthropic: 'request-id',
  github: 'x-github-request-id',
  slack: 'x-slack-req-id',
  s3: 'x-amz-request-id',
  aws_query: 'x-amzn-requestid',
};

export interface ProblemContext {
  readonly requestId: string;
  readonly shape: ErrorShape;
  readonly limits: readonly LimitState[];
  /** Further header fields. */
  readonly fields?: Readonly<Record<string, string>>;
  /** HEAD has no body, whatever the error (RFC 9110 §9.3.2). */
  readonly method: string;
}

/** The only way a denial or a fault becomes a response. */
export function problemResponse(reason: Denial | Fault, context: ProblemContext): Response {
  const p = problemOf(reason);
  const shaped = shapeOf(context.shape, p, `urn:uuid:${context.requestId}`);
  const headers = fieldsOfEach(p, shaped.contentType, context.requestId);
  headers.set('x-content-type-options', 'nosniff');
  const servicesField = SERVICES_REQUEST_ID_FIELD[context.shape];
  if (servicesField !== undefined) headers.set(servicesField, context.requestId);
  if (p.retryAfterSeconds !== null) headers.set('retry-after', String(p.retryAfterSeconds));
  if (p.allow !== undefined) headers.set('allow', p.allow.join(', '));
  if (p.challenge !== null) setChallenges(headers, p.challenge.error, context.shape);
  for (const [name, value] of Object.entries(context.fields ?? {})) headers.set(name, value);
  // The vendors' SDKs retry by status; a no stays a no.
  if ((p.status < 500 && p.status !== 429) || p.worthRetrying === false) {
    headers.set('x-should-retry', 'false');
    headers.set('stripe-should-retry', 'false');
  }
  setRateLimitFields(headers, context.limits);
  return new Response(context.method === 'HEAD' ? null : shaped.body, {
    status: shaped.status,
    // The only words of ours that pip, twine, urllib and all who ask by HEAD get to see (RFC 9112 §4).
    statusText: shaped.status < 400 ? '' : p.title,
    headers,
  });
}

/** A no of our own API, worded where it is said. */
export function ownResponse(p: PublicProblem, requestId: string, method: string): Response {
  const { status, contentType, body } = shapeOf('problem', p, `urn:uuid:${requestId}`);
  return new Response(method === 'HEAD' ? null : body, { status, headers: fieldsOfEach(p, contentType, requestId) });
}

const fieldsOfEach = ({ proxyError, code }: PublicProblem, contentType: string, requestId: string): Headers =>
  new Headers({
    'content-type': contentType,
    'cache-control': 'no-store',
    'proxy-status': `keywarden; error=${proxyError}; details="${code}"`,
    [REQUEST_ID_FIELD]: requestId,
  });

function setChallenges(headers: Headers, error: 'invalid_token' | null, shape: ErrorShape): void {
  // git sends no credentials until it is asked for Basic (RFC 7617).
  if (shape === 'git') headers.append('www-authenticate', 'Basic realm="keywarden", charset="UTF-8"');
  headers.append(
    'www-authenticate',
    error === null ? 'Bearer realm="keywarden"' : `Bearer realm="keywarden", error="${error}"`,
  );
}
