import { retentionDaysOf } from './audit/retention.ts';
import { ledgersPast } from './audit/store.ts';
import { forgetPast } from './db/retention.ts';
import type { Env } from './env.ts';
import { listLedgers, prune } from './ledger/client.ts';

/** Ledger calls in one run: the platform bounds a run's subrequests. */
const MAX_CALLS = 500;
const DAY_MS = 86_400_000;

/** What the retention did in one run. */
export interface RetentionReport {
  readonly ledgers: number;
  readonly rows: number;
  /** Ledgers whose rows are not as they were written: nothing of them is removed. */
  readonly refused: number;
  readonly unreachable: number;
  readonly finished: boolean;
}

/**
 * Removes audit rows older than the retention, ledger by ledger. Each ledger verifies what it lets go, and keeps the hash
 * that the next row is chained to. The ledgers with the oldest rows come first, so that with more of them than a run bears none
 * is passed by for ever. Tokens, sessions and alerts are forgotten before.
 *
 * @param now Unix ms.
 */
export async function prunePastRetention(env: Env, now: number): Promise<RetentionReport> {
  const report = { ledgers: 0, rows: 0, refused: 0, unreachable: 0, finished: true };
  const days = retentionDaysOf(env);
  if (days === 'unreadable')
    throw new Error('KEYWARDEN_AUDIT_RETENTION_DAYS is not a number of days: nothing is pruned');
  await forgetPast(env.DB, now, days === null ? null : now - days * DAY_MS);
  if (days === null) return report;
  const ledgers = await listLedgers(env);
  if (!ledgers.ok) throw new Error(`the directory of ledgers cannot be read: ${ledgers.error.detail}`);
  const before = now - days * DAY_MS;
  const known = new Set(ledgers.value.map(({ ledger }) => ledger));
  const due = (await ledgersPast(env.DB, before)).filter((ledger) => known.has(ledger));
  // Of the others some may hold old rows that D1 does not have yet.
  const asked = [...new Set([...due, ...known])].slice(0, Math.max(due.length, MAX_CALLS));
  let calls = 0;
  for (const ledger of asked) {
    report.ledgers += 1;
    for (let more = true; more; ) {
      if (++calls > MAX_CALLS) return { ...report, finished: false };
      const answer = await prune(env, ledger, before);
      if (!answer.ok) {
        report.unreachable += 1;
        break;
      }
      report.rows += answer.value.rows;
      if (answer.value.refused !== null) report.refused += 1;
      more = answer.value.more;
    }
  }
  return report;
}
