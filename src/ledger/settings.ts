import type { Env } from '../env.ts';

/** Operators' knobs of the ledger, with their defaults. A value that is no positive number counts as absent. */
export interface LedgerSettings {
  /** Rows that may wait for D1 before further calls are refused. */
  readonly maxWaitingRows: number;
  /** After which an intent without an outcome is closed as `call.unknown`. */
  readonly outcomeTimeoutMs: number;
}

export function ledgerSettingsOf(env: Env): LedgerSettings {
  return {
    maxWaitingRows: positive(env.KEYWARDEN_MAX_WAITING_ROWS) ?? 50_000,
    outcomeTimeoutMs: (positive(env.KEYWARDEN_OUTCOME_TIMEOUT_SECONDS) ?? 600) * 1000,
  };
}

function positive(text: string | undefined): number | null {
  const value = Number(text ?? '');
  return Number.isFinite(value) && value > 0 ? value : null;
}
