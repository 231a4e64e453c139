import type { Fault, UnsignableReason } from '../fault.ts';
import { type PublicProblem, problem } from './public-problem.ts';

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

/** Exhaustive, too: a new way in which the world breaks does not compile until it is worded here. */
export function faultProblem(fault: Fault): PublicProblem {
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
