import { and, asc, eq, gt, lte } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/d1';
import { GENESIS_HASH } from '../audit/chain.ts';
import { describeProblem } from '../audit/chain-problem.ts';
import { chainVerifier } from '../audit/chain-verifier.ts';
import type { AuditRow } from '../audit/event.ts';
import { audit } from '../db/schema.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { ChainCut, LedgerNote } from './contract.ts';
import { ledgerNote } from './note.ts';

const PAGE = 1_000;
/** Rows verified and removed in one call, so that the ledger is not kept from its agent for long. */
const MAX_ROWS = 10_000;

/**
 * Finds how far a ledger's rows in D1 may be removed: those before a time, in one piece from the last cut on. They are
 * verified first: whoever altered a row must not be able to have the evidence removed by waiting.
 *
 * @param from    The last cut, or null.
 * @param through The last row that may go: what D1 surely holds as the ledger wrote it.
 * @param before  Unix ms.
 * @param head    The ledger's own last row.
 * @returns The new cut, or null when nothing is old enough; or what is wrong with the rows.
 */
export async function findCut(
  database: D1Database,
  ledger: string,
  from: ChainCut | null,
  through: number,
  before: number,
  head: ChainCut,
): Promise<Result<ChainCut | null, string>> {
  const db = drizzle(database);
  const start = from ?? { seq: 0, hash: GENESIS_HASH };
  let cut = start;
  let last = start;
  const end = Math.min(through, start.seq + MAX_ROWS);
  // The first row that stays is verified with them: its link tells whether they were all written anew.
  const seen = Math.min(through, end + 1);
  const verifier = chainVerifier(ledger, { ledger, seq: seen, hash: '', ...(from === null ? {} : { cut: from }) });
  while (last.seq < seen) {
    const rows = (await db
      .select()
      .from(audit)
      .where(and(eq(audit.ledger, ledger), gt(audit.seq, last.seq), lte(audit.seq, seen)))
      .orderBy(asc(audit.seq))
      .limit(PAGE)) as AuditRow[];
    const kept = rows.findIndex((row) => row.at >= before || row.seq > end);
    if (kept === 0 && cut === start) return ok(null);
    for (const [index, row] of rows.entries()) {
      const [problem] = verifier.take(row);
      if (problem !== undefined) return err(describeProblem(problem));
      last = { seq: row.seq, hash: row.hash };
      if (index === kept) break;
      cut = last;
    }
    if (kept >= 0) break;
    if (rows.length === 0) return err(`rows from ${last.seq + 1} on are missing`);
  }
  if (cut === start) return ok(null);
  const known = last.seq === head.seq ? head : last;
  const [problem] = verifier.finish({ ledger, ...known, ...(from === null ? {} : { cut: from }) });
  return problem === undefined ? ok(cut) : err(describeProblem(problem));
}

/** Removes what was cut; repeating it changes nothing. */
export async function removeRows(database: D1Database, ledger: string, cut: ChainCut): Promise<number> {
  const { meta } = await drizzle(database)
    .delete(audit)
    .where(and(eq(audit.ledger, ledger), lte(audit.seq, cut.seq)));
  return meta.changes ?? 0;
}

/** For the chain: what was removed, and where the rest begins. */
export const prunedNote = (cut: ChainCut, rows: number): LedgerNote =>
  ledgerNote({
    event: 'audit.pruned',
    requestId: crypto.randomUUID(),
    reason: 'retention',
    detail: { through: cut.seq, rows, hash: cut.hash },
  });
