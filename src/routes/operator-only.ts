import { createMiddleware } from 'hono/factory';
import { record } from '../ledger/client.ts';
import { operatorByAccess } from '../operator/access.ts';
import { operatorOf } from '../operator/operator-keys.ts';
import { mayAct, type Operator, type Role } from '../operator/roles.ts';
import type { Api, ApiContext } from './context.ts';
import { refuse } from './refuse.ts';

/** Lets only operators with this role, or one of these, on. Refusals are recorded in the operators' own ledger. */
export const operatorOnly = (...roles: readonly [Role, ...Role[]]) =>
  createMiddleware<Api>(async (c, next) => {
    const role = roles.join(' or ');
    const operator = await authenticateOperator(c);
    if (operator === null) {
      await recordRefusal(c, role, null);
      return refuse(
        c,
        401,
        'operator_key_invalid',
        'Send an operator key as "Authorization: Bearer <key>". Under keywarden dev it stands in .keywarden/operator.key.',
      );
    }
    if (!roles.some((one) => mayAct(operator, one))) {
      await recordRefusal(c, role, operator);
      return refuse(
        c,
        403,
        'role_missing',
        `This needs the role ${role}; ${operator.id} has ${[...operator.roles].join(', ')}.`,
      );
    }
    c.set('operator', operator);
    return next();
  });

async function authenticateOperator(c: ApiContext): Promise<Operator | null> {
  const { operators, access } = c.get('edge');
  const bearer = /^Bearer +(\S{16,512})$/i.exec(c.req.header('authorization') ?? '')?.[1];
  if (bearer !== undefined) return operatorOf(operators, bearer);
  const assertion = c.req.header('cf-access-jwt-assertion');
  return assertion !== undefined && access !== null ? operatorByAccess(assertion, access) : null;
}

async function recordRefusal(c: ApiContext, role: string, operator: Operator | null): Promise<void> {
  await record(
    c.env,
    { kind: 'operators' },
    {
      notes: [
        {
          event: 'operator.denied',
          requestId: c.get('requestId'),
          agent: null,
          session: null,
          tokenId: null,
          capability: null,
          service: null,
          operator: operator?.id ?? null,
          reason: operator === null ? 'operator_key_invalid' : 'role_missing',
          detail: { role, method: c.req.method, path: c.req.path.slice(0, 128) },
        },
      ],
    },
  );
}
