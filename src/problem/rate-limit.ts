import type { LimitState } from '../ledger/contract.ts';

/**
 * Sets `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): `"name";q=quota;w=window` and
 * `"name";r=remaining;t=seconds`.
 */
export function setRateLimitFields(
  fields: { set(name: string, value: string): unknown },
  limits: readonly LimitState[],
): void {
  if (limits.length === 0) return;
  fields.set(
    'ratelimit-policy',
    limits.map((l) => `"${l.name}";q=${l.quota};w=${Math.max(1, Math.round(l.windowSeconds))}`).join(', '),
  );
  fields.set('ratelimit', limits.map((l) => `"${l.name}";r=${l.remaining};t=${l.resetSeconds}`).join(', '));
}
