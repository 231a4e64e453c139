import type { Fault } from '../fault.ts';
import { record } from '../ledger/client.ts';
import type { LedgerKey } from '../ledger/name.ts';
import { ledgerNote, type NoteFields } from '../ledger/note.ts';
import type { Result } from '../lib/result.ts';
import type { ApiContext } from './context.ts';

/** What an operator did. What is left out is null in the row. */
export interface OperatorNote extends Omit<NoteFields, 'requestId' | 'agent'> {
  /** Null: nobody who is one. */
  readonly operator: string | null;
  readonly agent?: string;
}

/** Records what an operator did: in the ledger of the agent whom it concerns, or else in the operators' own. */
export async function noteOperator(c: ApiContext, note: OperatorNote): Promise<Result<null, Fault>> {
  const { agent } = note;
  const key: LedgerKey = agent === undefined ? { kind: 'operators' } : { kind: 'agent', agent };
  return record(c.env, key, { notes: [ledgerNote({ ...note, requestId: c.get('requestId') })] });
}
