import { CANONICAL_COLUMNS, CANONICAL_VERSION, canonicalRowAt, linkHash } from '../audit/chain.ts';
import type { AuditRow } from '../audit/event.ts';
import type { RowContent } from './rows.ts';

/** The columns of a row's wire form, in the order in which they follow its version. */
export const WIRE_COLUMNS = [...CANONICAL_COLUMNS, 'prevHash', 'hash'] as const;

/** Links a row to the one before and gives its hash and its wire form: the JSON array of the canonical row, prevHash and hash. */
export function linkRow(
  ledger: string,
  seq: number,
  at: number,
  row: RowContent,
  prevHash: string,
): { readonly hash: string; readonly wire: string } {
  const canonical = canonicalRowAt(ledger, seq, at, row);
  const hash = linkHash(prevHash, canonical);
  return { hash, wire: `${canonical.slice(0, -1)},"${prevHash}","${hash}"]` };
}

/** @param wires  Wire forms, separated by commas. */
export const wiresOf = (wires: string): unknown[][] => JSON.parse(`[${wires}]`);

/** The rows of a group, read back. */
export const rowsOfWires = (wires: string): AuditRow[] => wiresOf(wires).map(rowOfWire);

function rowOfWire(wire: unknown[]): AuditRow {
  if (wire[0] !== CANONICAL_VERSION) throw new Error('a row of an unknown version');
  return Object.fromEntries(WIRE_COLUMNS.map((column, index) => [column, wire[index + 1]])) as unknown as AuditRow;
}
