import { REQUEST_ID_FIELD } from '../problem/response.ts';
import { shapeOf } from '../problem/shapes.ts';

/**
 * The answer to a bug: 500 with an id to search for. The message and stack go to the log only, and only those of our
 * own code: a message could quote a URL that holds a credential, so that URLs are cut out.
 */
export function bugResponse(bug: unknown, requestId: string, method: string): Response {
  const text = bug instanceof Error ? (bug.stack ?? bug.message) : String(bug);
  console.error(`keywarden: bug: ${requestId}: ${text.replaceAll(/\b[a-z]+:\/\/[^\s'")]+/gi, '[url]')}`);
  const shaped = shapeOf(
    'problem',
    {
      status: 500,
      code: 'internal_error',
      title: 'Internal error',
      message: `Keywarden failed on this request. Its id is ${requestId}.`,
      retryAfterSeconds: null,
      challenge: null,
      proxyError: 'proxy_internal_error',
    },
    `urn:uuid:${requestId}`,
  );
  return new Response(method === 'HEAD' ? null : shaped.body, {
    status: 500,
    headers: {
      'content-type': shaped.contentType,
      'cache-control': 'no-store',
      'proxy-status': 'keywarden; error=proxy_internal_error; details="internal_error"',
      [REQUEST_ID_FIELD]: requestId,
    },
  });
}
