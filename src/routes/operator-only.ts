import { createMiddleware } from 'hono/factory';
import { codeOf, isForeign, type RequestOrigin } from '../console/cookie.ts';
import { findConsoleSession } from '../db/console.ts';
import { sha256Hex } from '../lib/digest.ts';
import { operatorByAccess } from '../operator/access.ts';
import { operatorOf } from '../operator/operator-keys.ts';
import { mayAct, type Operator, type Role } from '../operator/roles.ts';
import { CONSOLE_FIELD } from '../protocol.ts';
import type { Api, ApiContext } from './context.ts';
import { noteOperator } from './operator-note.ts';
import { refuse } from './refuse.ts';

/** Lets only operators with this role, or one of these, on. Refusals are recorded in the operators' own ledger. */
export const operatorOnly = (...roles: readonly [Role, ...Role[]]) =>
  createMiddleware<Api>(async (c, next) => {
    const role = roles.join(' or ');
    const who = await authenticateOperator(c);
    if (who === 'foreign') {
      await recordRefusal(c, role, null, 'origin_refused');
      return refuse(c, 403, 'origin_refused', 'The request comes from a page that is not of this edge.');
    }
    if (who === null) {
      await recordRefusal(c, role, null, 'operator_key_invalid');
      return refuse(
        c,
        401,
        'operator_key_invalid',
        'Send an operator key as "Authorization: Bearer <key>". Under keywarden dev it stands in .keywarden/operator.key.',
      );
    }
    const { operator } = who;
    if (!roles.some((one) => mayAct(operator, one))) {
      await recordRefusal(c, role, operator, 'role_missing');
      return refuse(
        c,
        403,
        'role_missing',
        `This needs the role ${role}; ${operator.id} has ${[...operator.roles].join(', ')}.`,
      );
    }
    c.set('operator', operator);
    c.set('signIn', { expiresAt: who.expiresAt, session: who.by === 'cookie' ? sessionOf(c) : null });
    return next();
  });

/** Who asks, and by what. */
export interface Authenticated {
  readonly operator: Operator;
  readonly by: 'key' | 'cookie' | 'access';
  /** Unix ms, of a cookie's session or an assertion; a key has none. */
  readonly expiresAt: number | null;
}

/**
 * By key, by the console's cookie, or by Cloudflare Access, in this order. The last two are sent by a browser itself, so that
 * where the request comes from is checked for them: `foreign`.
 */
export async function authenticateOperator(c: ApiContext): Promise<Authenticated | 'foreign' | null> {
  const { operators, access } = c.get('edge');
  const bearer = bearerOf(c);
  if (bearer !== undefined) {
    const operator = operatorOf(operators, bearer);
    return operator === null ? null : { operator, by: 'key', expiresAt: null };
  }
  const code = codeOf(c.req.header('cookie'), c.req.url);
  if (code !== null) {
    if (isForeign(originOf(c), 'cookie')) return 'foreign';
    const session = await findConsoleSession(c.env.DB, code, Date.now());
    const operator = session === null ? undefined : operators.get(session.keySha256);
    if (session !== null && operator !== undefined) return { operator, by: 'cookie', expiresAt: session.expiresAt };
  }
  const assertion = c.req.header('cf-access-jwt-assertion');
  if (assertion === undefined || access === null) return null;
  if (isForeign(originOf(c), 'access')) return 'foreign';
  const operator = await operatorByAccess(assertion, access);
  return operator === null ? null : { operator, by: 'access', expiresAt: operator.expiresAt };
}

/** The operator key that was sent (RFC 6750 §2.1), whether or not it is one of this edge. */
export const bearerOf = (c: ApiContext): string | undefined =>
  /^Bearer +(\S{16,512})$/i.exec(c.req.header('authorization') ?? '')?.[1];

/** The hash by which the database knows the cookie's session. */
function sessionOf(c: ApiContext): string | null {
  const code = codeOf(c.req.header('cookie'), c.req.url);
  return code === null ? null : sha256Hex(code);
}

export const originOf = (c: ApiContext): RequestOrigin => ({
  method: c.req.method,
  url: c.req.url,
  origin: c.req.header('origin'),
  secFetchSite: c.req.header('sec-fetch-site'),
  marked: c.req.header(CONSOLE_FIELD) === '1',
});

async function recordRefusal(c: ApiContext, role: string, operator: Operator | null, reason: string): Promise<void> {
  const detail = { role, method: c.req.method, path: c.req.path.slice(0, 128) };
  await noteOperator(c, { event: 'operator.denied', operator: operator?.id ?? null, reason, detail });
}
