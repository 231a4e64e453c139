import { and, between, eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/d1';
import { CANONICAL_COLUMNS } from '../audit/chain.ts';
import { audit } from '../db/schema.ts';
import type { WaitingRow } from './log.ts';

/** Rows in one statement: D1 takes a bound text of 2 MB, and a row is under 4 KB. */
export const FLUSH_ROWS = 400;

/** The wire form is an array: the version first, then the canonical columns, then prevHash and hash. */
const COLUMNS = [...CANONICAL_COLUMNS, 'prevHash', 'hash'] as const;
const INSERT = sql.raw(
  `INSERT OR IGNORE INTO audit (${COLUMNS.map((name) => audit[name].name).join(', ')}) ` +
    `SELECT ${COLUMNS.map((_, i) => `value ->> ${i + 1}`).join(', ')} FROM json_each(`,
);

/**
 * Writes rows to D1 in one statement and reads back what stands there under their numbers. `INSERT OR IGNORE` with the
 * numbers as the key makes a retry harmless; reading back tells a row that arrived from one whose place was taken before.
 *
 * @returns The numbers of the rows that D1 now holds exactly as given.
 * @throws What D1 throws; nothing is lost, the rows still wait.
 */
export async function flushRows(d1: D1Database, ledger: string, rows: readonly WaitingRow[]): Promise<ReadonlySet<number>> {
  const first = rows[0]?.seq ?? 0;
  const last = rows.at(-1)?.seq ?? 0;
  const db = drizzle(d1);
  const [, stored] = await db.batch([
    db.run(sql`${INSERT}${`[${rows.map((row) => row.wire).join(',')}]`})`),
    db.select({ seq: audit.seq, hash: audit.hash }).from(audit).where(and(eq(audit.ledger, ledger), between(audit.seq, first, last))),
  ]);
  const hashes = new Map(stored.map(({ seq, hash }) => [seq, hash]));
  return new Set(rows.filter((row) => row.wire.endsWith(`,"${hashes.get(row.seq)}"]`)).map((row) => row.seq));
}
