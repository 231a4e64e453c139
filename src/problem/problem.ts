import type { Denial } from '../denial.ts';
import type { Fault, UnsignableReason } from '../fault.ts';
import { METHODS } from '../policy/template.ts';

/**
 * What a client may know of a no: the one wall for words. Rich reasons go to the audit row, these go out.
 */
export interface PublicProblem {
  readonly status: number;
  /** Stable, snake_case; for programs. */
  readonly code: string;
  readonly title: string;
  /** One or two sentences for people and models: what is wrong and how to mend it. */
  readonly message: string;
  readonly retryAfterSeconds: number | null;
  /** RFC 6750 §3.1 error code for the challenge of a 401, null when no authentication was tried. */
  readonly challenge: { readonly error: 'invalid_token' | null } | null;
  /** False: an SDK that sends it again by itself, soon, gets the same no, whatever its status usually means. */
  readonly worthRetrying?: boolean;
  /** For a 405, which must name the methods that there are (RFC 9110 §15.5.6). */
  readonly allow?: readonly string[];
  /** RFC 9209 §2.3 proxy error type. */
  readonly proxyError: string;
}

const problem = (
  status: number,
  code: string,
  title: string,
  message: string,
  more: Partial<Pick<PublicProblem, 'retryAfterSeconds' | 'challenge' | 'proxyError' | 'worthRetrying' | 'allow'>> = {},
): PublicProblem => ({
  status,
  code,
  title,
  message,
  retryAfterSeconds: more.retryAfterSeconds ?? null,
  challenge: more.challenge ?? null,
  worthRetrying: more.worthRetrying ?? true,
  ...(more.allow === undefined ? {} : { allow: more.allow }),
  proxyError: more.proxyError ?? 'http_request_denied',
});

/** A person takes longer than this; a client that looks at the state need not look more often. */
const PENDING_RETRY_SECONDS = 10;

/** All failures of a presented token look alike: which check failed would help only a forger. */
const INVALID_TOKEN = problem(
  401,
  'invalid_token',
  'Invalid capability token',
  'The capability token is invalid, expired or revoked. Ask for a new one (keywarden token) and send it where the API key would go.',
  { challenge: { error: 'invalid_token' } },
);

/** Exhaustive on purpose: a new reason to refuse does not compile until it is worded here. */
export function problemOf(reason: Denial | Fault): PublicProblem {
  switch (reason.kind) {
    case 'token_missing':
      return problem(
        401,
        'token_missing',
        'Capability token required',
        'Send a Keywarden capability token where the API key would go, for example as "Authorization: Bearer <token>".',
        { challenge: { error: null } },
      );
    case 'token_ambiguous':
    case 'token_malformed':
    case 'token_untrusted':
    case 'token_wrong_type':
    case 'token_wrong_issuer':
    case 'token_wrong_audience':
    case 'token_expired':
    case 'token_not_yet_valid':
    case 'token_lifetime_exceeded':
    case 'token_revoked':
      return INVALID_TOKEN;
    case 'service_unknown':
      return problem(
        404,
        'service_unknown',
        'Unknown service',
        'No policy defines this service. GET /v1/capabilities with your token lists what it may use.',
      );
    case 'method_refused':
      // Those that are forwarded at all: which of them the policy allows on this path is told to a token by /v1/capabilities.
      return problem(405, 'method_refused', 'Method refused', 'Keywarden does not forward this method.', {
        allow: [...METHODS],
      });
    case 'path_refused':
      return problem(
        400,
        'path_refused',
        'Path refused',
        `The path has no canonical form (${reason.why.replaceAll('_', ' ')}). Send a plain absolute path without dot segments, empty segments or encoded separators.`,
      );
    case 'query_refused':
      return problem(400, 'query_refused', 'Query refused', `The query cannot be forwarded: ${reason.why}.`);
    case 'header_refused':
      return problem(
        400,
        'header_refused',
        'Header field refused',
        `The header field ${reason.header} is refused: ${reason.why}.`,
      );
    case 'operation_unknown':
      return problem(
        403,
        'operation_not_allowed',
        'Not allowed',
        'No capability allows this method and path. GET /v1/capabilities lists what your token allows.',
      );
    case 'capability_missing':
      return problem(
        403,
        'capability_missing',
        'Capability missing',
        `This call needs a capability that the token does not hold: ${reason.wouldAllow.join(' or ')}.`,
      );
    case 'rule_denied':
      return problem(403, 'denied_by_rule', 'Denied by rule', "A rule of the service's policy denies this call.");
    case 'condition_unmet':
      return problem(
        403,
        'condition_unmet',
        'Condition not met',
        `${reason.capability} allows this call only when: ${reason.condition}`,
      );
    case 'condition_unevaluable':
      return problem(
        403,
        'condition_unevaluable',
        'Condition not met',
        `${reason.capability} allows this call only when: ${reason.condition} (a value that it needs is missing or of another type)`,
      );
    case 'body_refused':
      return bodyProblem(reason.why);
    case 'approval_pending':
      return problem(
        403,
        'approval_pending',
        'Waiting for approval',
        `${reason.capability} needs a person's approval for this call, and nobody has decided yet. Nothing was sent. After a yes, send exactly the same request again: it goes through once. Its state: GET /v1/approvals/${reason.approval} with this token.`,
        { retryAfterSeconds: PENDING_RETRY_SECONDS },
      );
    case 'approval_denied':
      return problem(
        403,
        'approval_denied',
        'Approval denied',
        `A person has denied this call (approval ${reason.approval}). Nothing was sent. Sending it again changes nothing: do something else, or ask the people you work for.`,
      );
    case 'approval_expired':
      return problem(
        403,
        'approval_expired',
        'Approval expired',
        `Nobody decided in time about this call (approval ${reason.approval}). Nothing was sent. Sending it again asks anew.`,
      );
    case 'approval_flood':
      return problem(
        429,
        'approval_flood',
        'Too many approvals asked for',
        reason.bound === 'hourly'
          ? `This agent has asked for ${reason.most} approvals within an hour, which is the most. Nothing was sent or asked.`
          : `${reason.bound === 'pending' ? `This agent has ${reason.most} approvals pending, which is the most` : 'Too many approvals are pending'}. Nothing was sent or asked. Wait until some are decided.`,
        { retryAfterSeconds: reason.retryAfterSeconds, worthRetrying: false },
      );
    case 'approval_used':
      return problem(
        403,
        'approval_used',
        'Approval used up',
        `The approval ${reason.approval} has been used: it does not cover another call. Sending the request again asks anew.`,
      );
    case 'approval_revoked':
      return problem(
        403,
        'approval_revoked',
        'Approval void',
        `The approval ${reason.approval} was asked for with a token that is revoked, and ended with it. Sending the request again asks anew.`,
      );
    case 'rate_limited':
      return problem(
        429,
        'rate_limited',
        'Too many requests',
        `${reason.limit === 'agent' ? "The agent's own limit" : `The limit of ${reason.limit}`} is used up. Try again in ${reason.retryAfterSeconds} s.`,
        { retryAfterSeconds: reason.retryAfterSeconds, proxyError: 'http_request_denied' },
      );
    case 'fault':
      return faultProblem(reason);
  }
}

function bodyProblem(why: Extract<Denial, { kind: 'body_refused' }>['why']): PublicProblem {
  const words = why.replaceAll('_', ' ');
  if (why === 'too_large')
    return problem(
      413,
      'body_refused',
      'Body refused',
      'The body is larger than a rule may read, so that it cannot be judged.',
    );
  if (why === 'incomplete')
    return problem(
      400,
      'body_refused',
      'Body refused',
      'A rule reads this body, and it broke off or was framed wrongly.',
    );
  if (why.startsWith('content_') || why === 'charset_unsupported') {
    return problem(
      415,
      'body_refused',
      'Body refused',
      `A rule reads this body and cannot: ${words}. Send application/json or application/x-www-form-urlencoded in UTF-8, not compressed.`,
    );
  }
  return problem(
    400,
    'body_refused',
    'Body refused',
    `A rule reads this body and readers could differ about it: ${words}.`,
  );
}

const UNSIGNABLE: Readonly<Record<UnsignableReason, string>> = {
  scope:
    'Neither the policy nor the request names the region and the service that it is to be signed for. Sign it with AWS Signature Version 4, with any keys, or have an operator set both in the policy.',
  path: 'The path holds a bare +, which services read differently. Send %2B for a plus and %20 for a space.',
  query: 'The query holds a broken percent-escape, a value without a name, or a parameter twice.',
  escapes: 'The path or the query holds characters that must be percent-encoded.',
  body_coding:
    'The header fields do not say how the body is coded. An aws-chunked body needs x-amz-content-sha256 with one of the STREAMING- forms and x-amz-decoded-content-length; any other body needs neither.',
  body_malformed:
    'The aws-chunked body is malformed, cut off, or not as long as x-amz-decoded-content-length says. No complete request was sent to the service.',
  body_digest: "x-amz-content-sha256 must be the body's SHA-256 in lower-case hex, or UNSIGNED-PAYLOAD.",
  body_length: 'The body is too large to be hashed here. Send its SHA-256 in x-amz-content-sha256.',
};

function faultProblem(fault: Fault): PublicProblem {
  const { code, retryable } = fault;
  const later = retryable ? { retryAfterSeconds: 1 } : {};
  switch (fault.code) {
    case 'upstream_unreachable':
      return problem(
        502,
        code,
        'Upstream unreachable',
        // Not retryable is what may have acted and is not idempotent: to send it again could do it twice.
        `The service could not be reached, or it ended the connection before it gave an HTTP answer.${retryable ? '' : ' Whether it acted on the request is unknown.'}`,
        { ...later, proxyError: 'destination_unavailable' },
      );
    case 'upstream_protocol_error':
      return problem(
        502,
        code,
        'Bad answer from the upstream',
        'The service answered with something that is no HTTP response that can be passed on.',
        { proxyError: 'http_protocol_error' },
      );
    case 'upstream_timeout':
      return problem(
        504,
        code,
        'Upstream timed out',
        'The service did not answer in time. Whether it acted on the request is unknown.',
        { proxyError: 'http_response_timeout' },
      );
    case 'upstream_redirect_refused':
      return problem(
        502,
        code,
        'Redirect refused',
        'The service redirected to another origin, which the policy does not allow, or by a Location that could be taken for one; the credential goes nowhere else.',
        // Of RFC 9209 §2.3 the type for "its configuration and/or policy settings": the answer was whole and good HTTP,
        // so that no http_protocol_error or http_response_* is true of it.
        { proxyError: 'http_request_denied' },
      );
    case 'upstream_coding_unsupported':
      return problem(
        502,
        code,
        'Content coding refused',
        'The service answered in a content coding in which the credential could not be looked for.',
        { proxyError: 'http_response_content_coding' },
      );
    case 'client_cancelled':
      return problem(499, code, 'Client closed the request', 'The client went away.', {
        proxyError: 'connection_terminated',
      });
    case 'request_unsignable':
      return problem(400, code, 'Request cannot be signed', UNSIGNABLE[fault.why], {
        proxyError: 'http_request_error',
      });
    case 'ledger_unavailable':
      return problem(503, code, 'Ledger unavailable', 'The call could not be recorded, so it was not made.', {
        ...later,
        proxyError: 'proxy_internal_error',
      });
    case 'ledger_full':
      return problem(
        503,
        code,
        'Ledger full',
        'Audit rows wait for the database and the bound is reached, so the call was not made. An operator must mend the D1 database.',
        { retryAfterSeconds: 30, proxyError: 'proxy_internal_error' },
      );
    case 'approvals_unavailable':
      return problem(
        503,
        code,
        'Approvals unavailable',
        "This call needs a person's approval, and the approvals desk could not be asked or its record not be written. The call was not made.",
        { proxyError: 'proxy_internal_error' },
      );
    case 'environment_broken':
      return problem(
        503,
        code,
        'Edge not ready',
        'This edge is not configured completely and refuses to serve. An operator finds the reason at /healthz.',
        { proxyError: 'proxy_configuration_error' },
      );
  }
}
