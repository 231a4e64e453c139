import type { Env } from '../env.ts';
import { type Fault, fault } from '../fault.ts';
import { callObject } from '../lib/object-call.ts';
import { err, type Result } from '../lib/result.ts';
import {
  type Ask,
  type AskAnswer,
  DESK_NAME,
  type DecideAnswer,
  type DecideRequest,
  type ListQuery,
  SEAT_EXPIRY,
  SEAT_SESSION,
  type Seat,
  type StoredApproval,
} from './contract.ts';
import type { Waited } from './waiting.ts';

type Bindings = Pick<Env, 'APPROVALS'>;
type Stub = ReturnType<Env['APPROVALS']['get']>;

/** Asks the desk; joins what is asked already. Repeating it asks nothing twice. */
export const askDesk = (env: Bindings, ask: Ask): Promise<Result<AskAnswer, Fault>> =>
  call(env, (desk) => desk.ask(ask) as Promise<AskAnswer>);

export const waitAtDesk = (env: Bindings, id: string, ms: number): Promise<Result<Waited, Fault>> =>
  call(env, (desk) => desk.wait(id, ms) as Promise<Waited>);

export const findApproval = (env: Bindings, id: string): Promise<Result<StoredApproval | null, Fault>> =>
  call(env, (desk) => desk.get(id) as unknown as Promise<StoredApproval | null>);

export const listApprovals = (env: Bindings, query: ListQuery): Promise<Result<StoredApproval[], Fault>> =>
  call(env, (desk) => desk.list(query) as unknown as Promise<StoredApproval[]>);

export const decideAtDesk = (
  env: Bindings,
  request: DecideRequest,
  requestId: string,
): Promise<Result<DecideAnswer, Fault>> =>
  call(env, (desk) => desk.decide(request, requestId) as unknown as Promise<DecideAnswer>);

/** What the ledger said about a yes, for people to see. */
export const tellDesk = (
  env: Bindings,
  id: string,
  what: { readonly used: string } | 'exhausted' | 'revoked',
): Promise<Result<void, Fault>> =>
  call<void>(env, (desk) =>
    what === 'exhausted' ? desk.exhausted(id) : what === 'revoked' ? desk.revoked(id) : desk.used(id, what.used),
  );

/** The live reviewer's socket, which ends when the sign-in that opened it does. */
export const joinDesk = (env: Bindings, seat: Seat): ReturnType<Stub['fetch']> =>
  stubOf(env).fetch('https://desk/live', {
    headers: {
      upgrade: 'websocket',
      ...(seat.expiresAt === null ? {} : { [SEAT_EXPIRY]: String(seat.expiresAt) }),
      ...(seat.session === null ? {} : { [SEAT_SESSION]: seat.session }),
    },
  });

/** Closes the sockets that a session of the console has opened. */
export const leaveDesk = (env: Bindings, session: string): Promise<Result<void, Fault>> =>
  call<void>(env, (desk) => desk.leave(session));

const stubOf = (env: Bindings): Stub => env.APPROVALS.get(env.APPROVALS.idFromName(DESK_NAME));

async function call<T>(env: Bindings, send: (desk: Stub) => Promise<T>): Promise<Result<T, Fault>> {
  const answer = await callObject(() => send(stubOf(env)));
  if (answer.ok) return answer;
  const why = answer.error instanceof Error ? answer.error.message.slice(0, 200) : 'unknown';
  console.error(`keywarden: error: the approvals desk is not available: ${why}`);
  return err(fault('approvals_unavailable', why));
}
