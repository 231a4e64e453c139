import type { Denial } from '../denial.ts';
import { METHODS } from '../policy/template.ts';
import { type PublicProblem, problem } from './public-problem.ts';

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
export function denialProblem(reason: Denial): PublicProblem {
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
        [`${reason.capability} allows this call only when: ${reason.condition}`, ...(reason.others ?? [])].join('; '),
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
        { retryAfterSeconds: reason.retryAfterSeconds },
      );
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
  if (why === 'method_override')
    return problem(
      400,
      'body_refused',
      'Body refused',
      'The body holds _method, which would change the method that the policy decides about. Send the method itself.',
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
