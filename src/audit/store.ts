import { and, asc, desc, eq, gte, lt, lte, min, or, type SQL, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/d1';
import { audit } from '../db/schema.ts';
import type { ChainHead } from '../ledger/contract.ts';
import { cursorOf, NO_CURSOR, placeOf } from '../lib/cursor.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { type ChainProblem, describeProblem } from './chain-problem.ts';
import { chainVerifier } from './chain-verifier.ts';
import type { AuditRow } from './event.ts';
import { checkpointLineOf, exportLineOf } from './export-line.ts';

/** What to list; every given field must match. Times are Unix ms, both ends included. */
export interface AuditFilter {
  readonly agent?: string | undefined;
  readonly session?: string | undefined;
  readonly capability?: string | undefined;
  readonly service?: string | undefined;
  readonly event?: string | undefined;
  readonly decision?: 'allow' | 'deny' | undefined;
  readonly reason?: string | undefined;
  readonly requestId?: string | undefined;
  /** Any part of path, reason, operator, request id or detail. */
  readonly text?: string | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface AuditPage {
  readonly rows: readonly AuditRow[];
  readonly nextCursor: string | null;
}

const EQUAL = ['agent', 'session', 'capability', 'service', 'event', 'decision', 'reason', 'requestId'] as const;
const PAGE = 1000;
const MAX_PROBLEMS = 1000;
const MAX_BEYOND = 100;

/** One page, newest first; the cursor is a place in that order, so that rows which come meanwhile shift nothing. */
export async function listRows(d1: D1Database, filter: AuditFilter): Promise<Result<AuditPage, string>> {
  const place = filter.cursor === undefined ? null : parseCursor(filter.cursor);
  if (place !== null && !place.ok) return place;
  const conditions: (SQL | undefined)[] = EQUAL.flatMap((name) => {
    const value = filter[name];
    return value === undefined ? [] : [eq(audit[name], value as never)];
  });
  if (filter.since !== undefined) conditions.push(gte(audit.at, filter.since));
  if (filter.until !== undefined) conditions.push(lte(audit.at, filter.until));
  if (filter.text !== undefined) {
    const { text } = filter;
    // instr and not LIKE: what an operator types is no pattern.
    const holds = [audit.path, audit.reason, audit.operator, audit.requestId, audit.detail].map(
      (column) => sql`instr(${column}, ${text}) > 0`,
    );
    conditions.push(or(...holds));
  }
  if (place !== null) {
    const { at, ledger, seq } = place.value;
    // One comparison of all three: a row of conditions joined by OR would read every newer row again, page after page.
    conditions.push(sql`(${audit.at}, ${audit.ledger}, ${audit.seq}) < (${at}, ${ledger}, ${seq})`);
  }
  const rows = (await drizzle(d1)
    .select()
    .from(audit)
    .where(and(...conditions))
    .orderBy(desc(audit.at), desc(audit.ledger), desc(audit.seq))
    .limit(filter.limit + 1)) as AuditRow[];
  const page = rows.slice(0, filter.limit);
  const last = page.at(-1);
  return ok({ rows: page, nextCursor: rows.length > filter.limit && last !== undefined ? cursorOfRow(last) : null });
}

const cursorOfRow = ({ at, ledger, seq }: AuditRow): string =>
  cursorOf([at, ledger, Number.isFinite(seq) ? seq : Number.MAX_SAFE_INTEGER]);

/** In a row that was altered, a time or a number may be a text: both have their place after all numbers. */
function parseCursor(cursor: string): Result<{ at: number | string; ledger: string; seq: number }, string> {
  const [at, ledger, seq] = placeOf(cursor);
  if ((typeof at === 'number' || typeof at === 'string') && typeof ledger === 'string' && typeof seq === 'number')
    return ok({ at, ledger, seq });
  return err(NO_CURSOR);
}

/** All rows, ledger by ledger in the order of their chains, page by page. */
async function* rowsInOrder(d1: D1Database): AsyncGenerator<AuditRow> {
  const db = drizzle(d1);
  let place: { ledger: string; seq: number } = { ledger: '', seq: 0 };
  for (;;) {
    const rows = (await db
      .select()
      .from(audit)
      .where(sql`(${audit.ledger}, ${audit.seq}) > (${place.ledger}, ${place.seq})`)
      .orderBy(asc(audit.ledger), asc(audit.seq))
      .limit(PAGE)) as AuditRow[];
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    place = { ledger: last.ledger, seq: last.seq };
  }
}

/** Ledgers with rows older than `before` (Unix ms), those with the oldest first, a thousand at most. */
export async function ledgersPast(d1: D1Database, before: number): Promise<string[]> {
  const rows = await drizzle(d1)
    .select({ ledger: audit.ledger })
    .from(audit)
    .where(lt(audit.at, before))
    // The sign keeps SQLite from the index by ledger, in which it would read all that is not old, too.
    .groupBy(sql`+${audit.ledger}`)
    .orderBy(min(audit.at))
    .limit(PAGE);
  return rows.map(({ ledger }) => ledger);
}

export interface StoredVerification {
  readonly ok: boolean;
  readonly rows: number;
  readonly ledgers: number;
  readonly problems: { readonly ledger: string; readonly seq: number | null; readonly problem: string }[];
}

/**
 * Checks every chain in D1 against the heads that the ledgers themselves hold: altered, dropped, reordered, inserted, cut
 * off, or a whole ledger gone. Memory does not grow with the rows; at most 1,000 problems are told.
 *
 * @param heads  As read before the rows were.
 * @param latest Reads the heads once more: rows beyond the first heads are new ones, or were planted.
 */
export async function verifyStored(
  d1: D1Database,
  heads: readonly ChainHead[],
  latest: () => Promise<readonly ChainHead[]>,
): Promise<StoredVerification> {
  const expected = new Map(heads.map((head) => [head.ledger, head]));
  const problems: ChainProblem[] = [];
  let rows = 0;
  let current: ReturnType<typeof chainVerifier> | null = null;
  const seen = new Set<string>();
  // The highest numbers of each ledger suffice: what was planted stands above all that are new.
  const beyond = new Map<string, number[]>();
  const finish = (): void => {
    if (current !== null) problems.push(...current.finish(expected.get(current.ledger) ?? null));
  };
  for await (const row of rowsInOrder(d1)) {
    rows++;
    if (current?.ledger !== row.ledger) {
      finish();
      const head = expected.get(row.ledger) ?? null;
      if (head === null) problems.push({ kind: 'ledger_unknown', ledger: row.ledger, seq: row.seq });
      current = chainVerifier(row.ledger, head);
      seen.add(row.ledger);
    }
    const head = expected.get(row.ledger);
    if (head !== undefined && row.seq > head.seq) {
      beyond.set(row.ledger, [...(beyond.get(row.ledger) ?? []), row.seq].slice(-MAX_BEYOND));
    } else problems.push(...current.take(row));
    if (problems.length > MAX_PROBLEMS) break;
  }
  finish();
  if (beyond.size > 0) {
    const now = new Map((await latest()).map((head) => [head.ledger, head.seq]));
    for (const [ledger, seqs] of beyond) {
      const planted = seqs.filter((seq) => seq > (now.get(ledger) ?? 0));
      problems.push(...planted.map((seq) => ({ kind: 'inserted' as const, ledger, seq })));
    }
  }
  for (const head of heads) {
    if (!seen.has(head.ledger)) problems.push(...chainVerifier(head.ledger, head).finish(head));
  }
  const told = problems
    .slice(0, MAX_PROBLEMS)
    .map((p) => ({ ledger: p.ledger, seq: p.seq, problem: describeProblem(p) }));
  return { ok: told.length === 0, rows, ledgers: heads.length, problems: told };
}

/** What a checkpoint says: the heads at the time of the export, and how many rows went before. */
export interface Checkpoint {
  readonly heads: readonly ChainHead[];
  readonly rows: number;
}

/** The lines of an export: every row as JSON in chain order, then the checkpoint, signed. */
export async function* exportLines(
  d1: D1Database,
  heads: readonly ChainHead[],
  sign: (checkpoint: Checkpoint) => Promise<string>,
): AsyncGenerator<string, void> {
  const expected = new Map(heads.map((head) => [head.ledger, head]));
  let rows = 0;
  for await (const row of rowsInOrder(d1)) {
    const head = expected.get(row.ledger);
    // Written since the heads were read: part of the next export. Or cut, and about to be removed.
    if (head !== undefined && (row.seq > head.seq || row.seq <= (head.cut?.seq ?? 0))) continue;
    rows++;
    yield exportLineOf(row);
  }
  yield checkpointLineOf(await sign({ heads, rows }));
}
