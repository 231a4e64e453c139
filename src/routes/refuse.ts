import { problem } from '../problem/public-problem.ts';
import { ownResponse } from '../problem/response.ts';
import type { ApiContext } from './context.ts';

/** A no of our own API, in the shape of the protocol's `Problem`. */
export function refuse(c: ApiContext, status: number, code: string, message: string): Response {
  const response = ownResponse(problem(status, code, titleOf(code), message), c.get('requestId'), c.req.method);
  if (status === 401) response.headers.set('www-authenticate', 'Bearer realm="keywarden operators"');
  return response;
}

/** As the titles of all other problems are written: `Request invalid`. */
const titleOf = (code: string): string => `${code.charAt(0).toUpperCase()}${code.slice(1).replaceAll('_', ' ')}`;
