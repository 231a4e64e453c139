import type { ServerResponse } from 'node:http';
import { LISTED } from './paths.ts';

export const answerNotOffered = (to: ServerResponse): void =>
  answer(to, 404, 'not_offered', 'The sandbox does not offer this', `an agent may ask for ${LISTED.join(', ')}`);

export const answerUnreachable = (to: ServerResponse, why: string): void =>
  answer(to, 503, 'edge_unreachable', 'The edge cannot be reached', why);

/** For the moment only: the same is worth another try. */
export function answerTooMany(to: ServerResponse, why: string): void {
  to.setHeader('retry-after', '1');
  answer(to, 503, 'too_many_connections', 'Too much at once', why);
}

const PROXY_ERRORS: Readonly<Record<string, string>> = {
  not_offered: 'http_request_denied',
  edge_unreachable: 'destination_unavailable',
  too_many_connections: 'connection_limit_reached',
};

/** The form of the edge's own problems: RFC 9457, and `error`, without which SDKs take a denial for a success. */
function answer(to: ServerResponse, status: number, code: string, title: string, detail: string): void {
  const message = `${title}: ${detail}.`;
  const body = JSON.stringify({
    type: 'about:blank',
    title,
    status,
    detail,
    message,
    error: { message, type: 'keywarden_egress', code },
  });
  // The rest of an unread body must not be taken for the next request.
  to.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'proxy-status': `keywarden-egress; error=${PROXY_ERRORS[code]}`,
    connection: 'close',
  });
  to.end(to.req.method === 'HEAD' ? undefined : body);
}
