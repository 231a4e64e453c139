import { Hono } from 'hono';
import { leaveDesk } from '../approvals/client.ts';
import { codeOf, cookieOf, isForeign, LINK_SECONDS, SESSION_SECONDS, transportOf } from '../console/cookie.ts';
import { CONSOLE_FIELDS } from '../console/headers.ts';
import { deleteConsoleSession, insertConsoleSession, insertLink, redeemLink } from '../db/console.ts';
import { sha256Hex } from '../lib/digest.ts';
import type { Operator } from '../operator/roles.ts';
import { type ConsoleSession, type SignInLink, SignInRequest } from '../protocol.ts';
import type { Api, ApiContext } from './context.ts';
import { noteOperator } from './operator-note.ts';
import { authenticateOperator, bearerOf, operatorOnly, originOf } from './operator-only.ts';
import { refuse } from './refuse.ts';
import { requestOf } from './request.ts';

/** The page itself: built files, the same for everybody. Who may do what is decided at the API. */
export const consolePages = new Hono<Api>();

consolePages.on(['GET', 'HEAD'], '/*', async (c) => {
  const path = new URL(c.req.url).pathname;
  if (path === '/console') return c.redirect('/console/', 308);
  const name = path.slice('/console'.length);
  const file = name === '/' ? '/index.html' : name;
  const known = c.req.header('if-none-match');
  const found = await c.env.ASSETS?.fetch(
    new Request(assetAt(file), {
      method: c.req.method,
      ...(known === undefined ? {} : { headers: { 'if-none-match': known } }),
    }),
  );
  if (found === undefined || !(found.status === 200 || found.status === 304)) {
    await found?.body?.cancel();
    const why =
      file === '/index.html' ? 'The console was not built: npm run build:console.' : 'There is no such file here.';
    return refuse(c, 404, 'not_found', why);
  }
  const headers = new Headers(CONSOLE_FIELDS);
  for (const field of ['content-type', 'etag']) {
    const value = found.headers.get(field);
    if (value !== null) headers.set(field, value);
  }
  // Names of built files carry their hash.
  headers.set('cache-control', file.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache');
  return new Response(found.body, { status: found.status, headers });
});

/** Set, and not resolved: `//name` would be another host. */
function assetAt(path: string): URL {
  const at = new URL('https://assets.local');
  at.pathname = path;
  return at;
}

/** Signing in and out. */
export const consoleApi = new Hono<Api>();

/** Who is asking; nobody is an answer too, so that a page that was just opened records no refusal. */
consoleApi.get('/session', async (c) => {
  const who = await authenticateOperator(c);
  const operator = who === 'foreign' ? null : who;
  return c.json({
    operator: operator?.operator.id ?? null,
    roles: [...(operator?.operator.roles ?? [])],
    groups: [...(operator?.operator.groups ?? [])],
    by: operator?.by ?? null,
    expires_at: operator?.expiresAt == null ? null : new Date(operator.expiresAt).toISOString(),
  } satisfies ConsoleSession);
});

consoleApi.post('/session', async (c) => {
  if (isForeign(originOf(c), 'cookie'))
    return refuse(c, 403, 'origin_refused', 'Only the console of this edge may sign in here.');
  if (transportOf(c.req.url) === 'open')
    return refuse(c, 403, 'tls_required', 'A key does not travel in the clear: open the console under https.');
  const parsed = await requestOf(c, SignInRequest);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', 'Send {"key"} or {"link"}.');
  const now = Date.now();
  const keySha256 =
    'key' in parsed.value ? sha256Hex(parsed.value.key) : await redeemLink(c.env.DB, parsed.value.link, now);
  const operator = keySha256 === null ? undefined : c.get('edge').operators.get(keySha256);
  if (operator === undefined || keySha256 === null) {
    await noteOperator(c, {
      event: 'operator.denied',
      operator: null,
      reason: 'key' in parsed.value ? 'operator_key_invalid' : 'sign_in_link_invalid',
      detail: { method: c.req.method, path: c.req.path },
    });
    return 'key' in parsed.value
      ? refuse(c, 401, 'operator_key_invalid', 'This is no operator key of this edge.')
      : refuse(c, 401, 'sign_in_link_invalid', 'The link was used, or is too old. Sign in with an operator key.');
  }
  const code = newCode();
  const expiresAt = now + SESSION_SECONDS * 1000;
  const noted = await noteOperator(c, {
    event: 'console.signed_in',
    operator: operator.id,
    reason: 'key' in parsed.value ? 'key' : 'link',
  });
  if (!noted.ok) return refuse(c, 503, noted.error.code, 'The sign-in could not be recorded; nobody was signed in.');
  // The cookie of before is replaced, and would otherwise live on as nobody's.
  await endSession(c);
  await insertConsoleSession(c.env.DB, code, keySha256, now, expiresAt);
  c.header('set-cookie', cookieOf(code, c.req.url));
  return c.json(sessionJson(operator, expiresAt));
});

consoleApi.delete('/session', async (c) => {
  const who = await authenticateOperator(c);
  if (who === 'foreign') return refuse(c, 403, 'origin_refused', 'Only the console of this edge may sign out here.');
  await endSession(c);
  if (who?.by === 'cookie') await noteOperator(c, { event: 'console.signed_out', operator: who.operator.id });
  c.header('set-cookie', cookieOf(null, c.req.url));
  return c.body(null, 204);
});

/** Ends the session whose cookie came along, and what it holds open. */
async function endSession(c: ApiContext): Promise<void> {
  const code = codeOf(c.req.header('cookie'), c.req.url);
  if (code === null) return;
  await deleteConsoleSession(c.env.DB, code);
  const left = await leaveDesk(c.env, sha256Hex(code));
  if (!left.ok) console.error(`keywarden: error: ${c.get('requestId')}: a live socket outlasts its sign-out`);
}

/** A one-time link for who holds a key already: `npm start` prints one. */
consoleApi.post('/links', operatorOnly('audit', 'approve', 'mint'), async (c) => {
  const bearer = bearerOf(c);
  if (bearer === undefined)
    return refuse(c, 403, 'operator_key_required', 'A link is given for an operator key alone, not for a session.');
  const link = newCode();
  const expiresAt = Date.now() + LINK_SECONDS * 1000;
  await insertLink(c.env.DB, link, sha256Hex(bearer), expiresAt);
  return c.json({ link, expires_at: new Date(expiresAt).toISOString() } satisfies SignInLink);
});

const sessionJson = (operator: Operator, expiresAt: number): ConsoleSession => ({
  operator: operator.id,
  roles: [...operator.roles],
  groups: [...(operator.groups ?? [])],
  by: 'cookie',
  expires_at: new Date(expiresAt).toISOString(),
});

function newCode(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
