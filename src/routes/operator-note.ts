import type { Fault } from '../fault.ts';
import { record } from '../ledger/client.ts';
import type { LedgerNote } from '../ledger/contract.ts';
import type { LedgerKey } from '../ledger/name.ts';
import type { Result } from '../lib/result.ts';
import type { ApiContext } from './context.ts';

/** What an operator did. What is left out is null in the row. */
export interface OperatorNote {
  readonly event: LedgerNote['event'];
  /** Null: nobody who is one. */
  readonly operator: string | null;
  readonly agent?: string;
  readonly session?: string | null;
  readonly tokenId?: string | null;
  readonly capability?: string | null;
  readonly service?: string | null;
  readonly reason?: string | null;
  readonly detail?: LedgerNote['detail'];
}

/** Records what an operator did: in the ledger of the agent whom it concerns, or else in the operators' own. */
export async function noteOperator(c: ApiContext, note: OperatorNote): Promise<Result<null, Fault>> {
  const { agent } = note;
  const key: LedgerKey = agent === undefined ? { kind: 'operators' } : { kind: 'agent', agent };
  const full = {
    event: note.event,
    requestId: c.get('requestId'),
    agent: agent ?? null,
    session: note.session ?? null,
    tokenId: note.tokenId ?? null,
    capability: note.capability ?? null,
    service: note.service ?? null,
    operator: note.operator,
    reason: note.reason ?? null,
    detail: note.detail ?? {},
  } satisfies LedgerNote;
  return record(c.env, key, { notes: [full] });
}
