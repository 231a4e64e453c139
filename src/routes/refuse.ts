import { REQUEST_ID_FIELD } from '../problem/response.ts';
import { shapeOf } from '../problem/shapes.ts';
import type { ApiContext } from './context.ts';

/** A no of our own API, in the shape of the protocol's `Problem`. */
export function refuse(c: ApiContext, status: number, code: string, message: string): Response {
  const requestId = c.get('requestId');
  const shaped = shapeOf(
    'problem',
    {
      status,
      code,
      title: titleOf(code),
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

/** As the titles of all other problems are written: `Request invalid`. */
const titleOf = (code: string): string => `${code.charAt(0).toUpperCase()}${code.slice(1).replaceAll('_', ' ')}`;
