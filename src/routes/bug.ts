import { problem } from '../problem/public-problem.ts';
import { ownResponse } from '../problem/response.ts';

/**
 * The answer to a bug: 500 with an id to search for. The message and stack go to the log only, and only those of our
 * own code: a message could quote a URL that holds a credential, so that URLs are cut out.
 */
export function bugResponse(bug: unknown, requestId: string, method: string): Response {
  const text = bug instanceof Error ? (bug.stack ?? bug.message) : String(bug);
  console.error(`keywarden: bug: ${requestId}: ${text.replaceAll(/\b[a-z]+:\/\/[^\s'")]+/gi, '[url]')}`);
  const words = `Keywarden failed on this request. Its id is ${requestId}.`;
  const told = problem(500, 'internal_error', 'Internal error', words, { proxyError: 'proxy_internal_error' });
  return ownResponse(told, requestId, method);
}
