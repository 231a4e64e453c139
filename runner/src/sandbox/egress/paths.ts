/** What of the edge an agent may ask for. The operators' API, the console and everything new stay outside until listed. */

const ANY_METHOD = ['/proxy/'];
const READ = ['/v1/capabilities', '/healthz', '/.well-known/jwks.json'];
const READ_BELOW = '/v1/approvals/';

/**
 * Judges the request target as it stands on the wire and as a URL parser would read it: the edge may be behind one that takes
 * `/proxy/../v1/tokens` for `/v1/tokens` (threat A7). The bytes themselves are forwarded unchanged; the edge decides on them.
 */
export function mayPass(method: string, target: string): boolean {
  const path = target.replace(/[?#].*$/s, '');
  let read: string;
  try {
    read = new URL(path, 'http://edge.invalid').pathname;
  } catch {
    return false;
  }
  return [path, read, decodedOnce(read)].every((one) => isListed(method, one));
}

function isListed(method: string, path: string): boolean {
  if (ANY_METHOD.some((prefix) => path.startsWith(prefix))) return true;
  if (method !== 'GET' && method !== 'HEAD') return false;
  return READ.includes(path) || /^\/v1\/approvals\/[A-Za-z0-9_-]+$/.test(path);
}

/** `%2e%2e` is a dot segment to URL parsers already; `%2f` and `%5c` are separators to some servers. */
function decodedOnce(path: string): string {
  const decoded = path.replace(/%2f/gi, '/').replace(/%5c/gi, '\\').replace(/%2e/gi, '.');
  try {
    return new URL(decoded, 'http://edge.invalid').pathname;
  } catch {
    return '';
  }
}

export const LISTED = [...ANY_METHOD, ...READ, `${READ_BELOW}ID`];
