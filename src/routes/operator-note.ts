import type { Fault } from '../fault.ts';
import { record } from '../ledger/client.ts';
import type { LedgerNote } from '../ledger/contract.ts';
import type { LedgerKey } from '../ledger/name.ts';
import type { Result } from '../lib/result.ts';
import type { ApiContext } from './context.ts';

export interface OperatorNote {
  readonly event: LedgerNote['event'];
  readonly operator: string | null;
  readonly agent?: string;
  readonly session?: string | null;
  readonly tokenId?: string;
  readonly service?: string | null;
  readonly reason?: string | null;
  readonly detail?: LedgerNote['detail'];
}

/** Records what an operator did: in the operators' own ledger, or in that of the agent whom it concerns. */
export async function noteOperator(
  c: ApiContext,
  note: OperatorNote,
  key: LedgerKey = { kind: 'operators' },
): Promise<Result<null, Fault>> {
  const full = {
    event: note.event,
    requestId: c.get('requestId'),
    agent: note.agent ?? null,
    session: note.session ?? null,
    tokenId: note.tokenId ?? null,
    capability: null,
    service: note.service ?? null,
    operator: note.operator,
    reason: note.reason ?? null,
    detail: note.detail ?? {},
  } satisfies LedgerNote;
  return record(c.env, key, { notes: [full] });
}
