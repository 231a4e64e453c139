import { retentionDaysOf } from './audit/retention.ts';
import type { Env } from './env.ts';
import { listLedgers, prune } from './ledger/client.ts';

/** Ledger calls in one run: the platform bounds a run's subrequests, and the next run goes on where this one ended. */
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
 * that the next row is chained to.
 *
 * @param now Unix ms.
 */
export async function prunePastRetention(env: Env, now: number): Promise<RetentionReport> {
  const report = { ledgers: 0, rows: 0, refused: 0, unreachable: 0, finished: true };
  const days = retentionDaysOf(env);
  if (days === null) return report;
  if (days === 'unreadable')
    throw new Error('KEYWARDEN_AUDIT_RETENTION_DAYS is not a number of days: nothing is pruned');
  const ledgers = await listLedgers(env);
  if (!ledgers.ok) throw new Error(`the directory of ledgers cannot be read: ${ledgers.error.detail}`);
  let calls = 0;
  for (const { ledger } of ledgers.value) {
    report.ledgers += 1;
    for (let more = true; more; ) {
      if (++calls > MAX_CALLS) return { ...report, finished: false };
      const answer = await prune(env, ledger, now - days * DAY_MS);
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
