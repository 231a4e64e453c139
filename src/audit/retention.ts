import type { Env } from '../env.ts';

/** Days for which audit rows are kept; null: for ever. What is no number of days must stop the edge, not prune all or nothing. */
export function retentionDaysOf({
  KEYWARDEN_AUDIT_RETENTION_DAYS: text,
}: Pick<Env, 'KEYWARDEN_AUDIT_RETENTION_DAYS'>): number | null | 'unreadable' {
  if (text === undefined || text === '') return null;
  const days = Number(text);
  return /^\d{1,5}$/.test(text) && days >= 1 && days <= 36_500 ? days : 'unreadable';
}
