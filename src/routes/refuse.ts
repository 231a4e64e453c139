import type * as z from 'zod/mini';
import { REQUEST_ID_FIELD } from '../problem/response.ts';
import { shapeOf } from '../problem/shapes.ts';
import type { ApiContext } from './context.ts';

/** A no of our own API, in the shape of {@link Problem}. */
export function refuse(c: ApiContext, status: number, code: string, message: string): Response {
  const requestId = c.get('requestId');
  const shaped = shapeOf(
    'problem',
    {
      status,
      code,
      title: code.replaceAll('_', ' '),
      message,
      retryAfterSeconds: null,
      challenge: null,
      proxyError: 'http_request_denied',
    },
    `urn:uuid:${requestId}`,
  );
  const headers: Record<string, string> = {
    'content-type': shaped.contentType,
    'cache-control': 'no-store',
    'proxy-status': `keywarden; error=http_request_denied; details="${code}"`,
    [REQUEST_ID_FIELD]: requestId,
  };
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="keywarden operators"';
  return new Response(shaped.body, { status, headers });
}

/** All issues of a request at once: `ttl_seconds: Too big: expected number to be <=86400; …`. */
export const issuesText = (error: z.core.$ZodError): string =>
  error.issues.map((i) => `${i.path.length === 0 ? 'request' : i.path.join('.')}: ${wordsOf(i)}`).join('; ');

/** What {@link jsonOf} could not read is null to the schema. */
const wordsOf = ({ path, message }: z.core.$ZodIssue): string =>
  path.length === 0 && message.endsWith('received null') ? 'it is no JSON, or larger than 64 KiB' : message;

const MAX_BODY_BYTES = 65_536;

/** Reads a JSON request body of our own API; null when it is none or too large. */
export async function jsonOf(c: ApiContext): Promise<unknown> {
  const text = await c.req.text();
  if (text.length > MAX_BODY_BYTES) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
