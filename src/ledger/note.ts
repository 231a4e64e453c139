import type { LedgerNote } from './contract.ts';

export type NoteFields = Pick<LedgerNote, 'event' | 'requestId'> & Partial<LedgerNote>;

const NOTHING = {
  agent: null,
  session: null,
  tokenId: null,
  capability: null,
  service: null,
  operator: null,
  reason: null,
  detail: {},
};

/** A row that is no call; what is left out is null in it. */
export const ledgerNote = (fields: NoteFields): LedgerNote => ({ ...NOTHING, ...fields });
