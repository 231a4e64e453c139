/** What a ledger does at this moment, and what waits in it for D1. */
export interface Load {
  readonly waitingRows: number;
  /** At so many the ledger denies. */
  readonly maxWaitingRows: number;
  /** Pushes that failed, one after another. */
  readonly failures: number;
  readonly sinceCommitMs: number;
  /** How long the oldest row has waited. */
  readonly waitingMs: number;
}

/** How long rows are gathered before they are pushed. */
export const PUSH_DELAY_MS = 1_000;
const BUSY_ROWS = 500;
const QUIET_MS = 250;
const MAX_WAIT_MS = 10_000;

/**
 * Whether a push may be put off to a quiet moment, since it shares one thread with the calls: with many rows waiting and calls
 * still coming, for ten seconds at most, and never near the bound at which the ledger denies. Readers flush before they read,
 * whatever this says. Pure.
 */
export const mayPushWait = ({ waitingRows, maxWaitingRows, failures, sinceCommitMs, waitingMs }: Load): boolean =>
  waitingRows >= BUSY_ROWS &&
  waitingRows < maxWaitingRows / 4 &&
  failures === 0 &&
  sinceCommitMs < QUIET_MS &&
  waitingMs < MAX_WAIT_MS;
