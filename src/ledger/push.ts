import { and, eq, inArray, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/d1';
import { canonicalRow, type UnlinkedRow } from '../audit/chain.ts';
import type { AuditRow } from '../audit/event.ts';
import { audit } from '../db/schema.ts';
import type { LoggedRows } from './log.ts';
import { rowsOfWires, WIRE_COLUMNS } from './wire.ts';

/** Rows in one statement, about. */
export const PUSH_BATCH = 400;

/**
 * The columns of `audit` in the order of the wire form, whose first element is the version. Of `row`, not of `json_each`: its
 * `value` is written anew, as text, each time it is mentioned.
 */
const columns = sql.join(
  WIRE_COLUMNS.map((_, index) => sql.raw(`row ->> ${index + 1}`)),
  sql.raw(', '),
);

/**
 * Puts rows into D1; a row that is there already is left as it is. When D1 says that it has inserted all of them, they stand
 * there as sent. Otherwise some were there before (a repeated push, or rows that somebody planted), and all are read back and
 * compared column by column: a planted row may well bear the right hash.
 *
 * Throws what D1 throws; then nothing is known, and the same push may be repeated.
 *
 * @returns Numbers of the rows in whose place D1 holds something else.
 */
export async function pushRows(database: D1Database, ledger: string, groups: readonly LoggedRows[]): Promise<number[]> {
  const db = drizzle(database);
  const wires = `[${groups.map((group) => group.wires).join(',')}]`;
  const { meta } = await db
    .insert(audit)
    .select(
      sql`with wires as materialized (select value as row from json_each(${wires})) select ${columns} from wires where true`,
    )
    .onConflictDoNothing();
  const sent = groups.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return meta.changes === sent ? [] : compared(db, ledger, groups);
}

/** Row by row, when D1 holds something else in the place of one of them. */
async function compared(
  db: ReturnType<typeof drizzle>,
  ledger: string,
  groups: readonly LoggedRows[],
): Promise<number[]> {
  const conflicts: number[] = [];
  for (const rows of chunksOf(
    groups.flatMap((group) => rowsOfWires(group.wires)),
    50,
  )) {
    const stored = await db
      .select()
      .from(audit)
      .where(
        and(
          eq(audit.ledger, ledger),
          inArray(
            audit.seq,
            rows.map((row) => row.seq),
          ),
        ),
      );
    const bySeq = new Map(stored.map((row) => [row.seq, row as AuditRow]));
    for (const row of rows) {
      const there = bySeq.get(row.seq);
      if (there === undefined || !sameRow(there, row)) conflicts.push(row.seq);
    }
  }
  return conflicts;
}

function sameRow(one: AuditRow, other: AuditRow): boolean {
  return (
    one.hash === other.hash &&
    one.prevHash === other.prevHash &&
    canonicalRow(one as UnlinkedRow) === canonicalRow(other)
  );
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
