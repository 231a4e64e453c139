import type { ErrorShape } from '../policy/ruled.ts';
import { queryXml, s3Xml } from './aws-xml.ts';
import type { PublicProblem } from './public-problem.ts';

/** An error body as a service's own SDK expects it. */
export interface ShapedError {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const JSON_TYPE = 'application/json';

/**
 * Renders a problem in the service's own error shape, so that the service's own SDK throws its own error with our message.
 *
 * JSON shapes carry the RFC 9457 members too. The content type is `application/json`, not `application/problem+json`:
 * several SDKs take the latter for a success or for an empty body.
 *
 * @param instance URI of this occurrence: `urn:uuid:<request id>`.
 */
export function shapeOf(shape: ErrorShape, p: PublicProblem, instance: string): ShapedError {
  const base = {
    type: `urn:keywarden:problem:${p.code}`,
    title: p.title,
    status: p.status,
    detail: p.message,
    instance,
    code: p.code,
    message: p.message,
  };
  const error = { message: p.message, type: errorType(p.status), code: p.code };
  const json = (body: object, status = p.status): ShapedError => ({
    status,
    contentType: JSON_TYPE,
    body: JSON.stringify(body),
  });

  switch (shape) {
    case 'problem':
      return json({ ...base, error });
    case 'stripe':
      // stripe-node picks its error class by status first, then by error.type.
      return json({ ...base, error: { ...error, type: p.status === 429 ? 'rate_limit_error' : error.type } });
    case 'openai':
      return json({ ...base, error: { ...error, param: null } });
    case 'anthropic':
      return json({ ...base, type: 'error', error: { ...error, type: anthropicType(p.status) } });
    case 'github':
      return json({ ...base, documentation_url: '', errors: [{ message: p.message, code: p.code }], error });
    case 'slack': {
      // Slack answers 200 with ok:false; its SDK retries any other status for half an hour. 429 it knows.
      const word = p.status === 401 ? 'invalid_auth' : p.code;
      return json(
        {
          ok: false,
          error: `${word}: ${p.message}`,
          code: p.code,
          message: p.message,
          detail: p.message,
          instance,
          response_metadata: { messages: [p.message] },
        },
        p.status === 429 ? 429 : 200,
      );
    }
    case 'twilio': {
      // twilio-node takes what has a `type` and a `title` beside a numeric code for its newer errors, and shows the title alone.
      const { type: _, ...rest } = base;
      return json({ ...rest, code: twilioCode(p.status), more_info: '', error });
    }
    case 's3':
      return { status: p.status, contentType: 'application/xml', body: s3Xml(p, instance) };
    case 'aws_query':
      return { status: p.status, contentType: 'application/xml', body: queryXml(p, instance) };
    case 'graphql':
      // No `error` beside `errors`: Linear's SDK would show it as part of the message.
      return json({
        ...base,
        errors: [{ message: p.message, extensions: { code: p.code, status: p.status, type: linearType(p.status) } }],
      });
    case 'sendgrid':
      return json({ ...base, errors: [{ message: p.message, field: null, help: null }], error });
    case 'notion':
      return json({ ...base, object: 'error', code: notionCode(p.status), error });
    case 'google': {
      // google-genai would take the number at the top for the word that it looks for within.
      const { status: _, ...rest } = base;
      return json({
        ...rest,
        error: {
          code: p.status,
          message: p.message,
          status: googleStatus(p.status),
          errors: [{ message: p.message, domain: 'keywarden', reason: p.code }],
        },
      });
    }
    case 'elasticsearch': {
      const cause = { type: elasticType(p.status), reason: p.message };
      return json({ ...base, error: { ...error, ...cause, root_cause: [cause] } });
    }
    case 'huggingface':
      // Its clients show what stands there as it is.
      return json({ ...base, error: p.message });
    case 'git':
      // git shows a text/plain body to the user as "remote: …" and hides every other.
      return { status: p.status, contentType: 'text/plain; charset=utf-8', body: `${p.message}\n` };
  }
}

function errorType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 404) return 'not_found_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'api_error';
}

const anthropicType = (status: number): string =>
  status === 413 ? 'request_too_large' : status === 504 ? 'timeout_error' : errorType(status);

/** By it Linear's SDK chooses the class of its error. */
const linearType = (status: number): string =>
  status === 401
    ? 'authentication error'
    : status === 403
      ? 'forbidden'
      : status === 429
        ? 'ratelimited'
        : status < 500
          ? 'invalid input'
          : 'internal error';

const twilioCode = (status: number): number =>
  status === 401 ? 20003 : status === 429 ? 20429 : status === 404 ? 20404 : 20403;

const notionCode = (status: number): string =>
  status === 401
    ? 'unauthorized'
    : status === 403
      ? 'restricted_resource'
      : status === 429
        ? 'rate_limited'
        : status === 404
          ? 'object_not_found'
          : status < 500
            ? 'invalid_request'
            : 'service_unavailable';

const elasticType = (status: number): string =>
  status === 401 || status === 403
    ? 'security_exception'
    : status === 429
      ? 'circuit_breaking_exception'
      : status < 500
        ? 'illegal_argument_exception'
        : 'unavailable_exception';

const googleStatus = (status: number): string =>
  status === 401
    ? 'UNAUTHENTICATED'
    : status === 403
      ? 'PERMISSION_DENIED'
      : status === 404
        ? 'NOT_FOUND'
        : status === 429
          ? 'RESOURCE_EXHAUSTED'
          : status < 500
            ? 'INVALID_ARGUMENT'
            : 'UNAVAILABLE';
