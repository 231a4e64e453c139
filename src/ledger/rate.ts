import type { RateSpec } from '../policy/ruled.ts';
import type { LimitState, NamedLimit } from './contract.ts';

/**
 * Rate limits by GCRA (ITU-T I.371): per limit one number, the theoretical arrival time. Pure.
 *
 * Intervals are rounded up to 1/1024 ms: at the size of today's Unix times every sum is then exact in a double, so that
 * a burst is never cut short, nor a call too many granted, by rounding.
 */
export interface RateState {
  /** The latest time seen, Unix ms. A clock that steps back is held here, and so can grant nothing. */
  readonly clock: number;
  /** Theoretical arrival time by limit name, Unix ms; a name that is absent has its whole burst. */
  readonly tats: ReadonlyMap<string, number>;
}

export type RateDecision =
  | { readonly effect: 'granted'; readonly state: RateState; readonly limits: readonly LimitState[] }
  | {
      readonly effect: 'limited';
      readonly state: RateState;
      readonly limits: readonly LimitState[];
      /** The limit that lets one more call pass last. */
      readonly limit: string;
      /** Whole seconds until all limits let one more call pass; at least 1. */
      readonly retryAfterSeconds: number;
    };

/** Of a ledger in which nothing was charged yet. */
export const emptyRateState: RateState = { clock: 0, tats: new Map() };

/** Longest wait that is told, for limits which can never pass (a count or burst below one). */
const NEVER_SECONDS = 86_400;
const GRID = 1024;

/**
 * Charges every limit for one call, or none of them.
 *
 * @param now  Unix ms; less than `state.clock` counts as `state.clock`.
 */
export function decideRate(state: RateState, limits: readonly NamedLimit[], now: number): RateDecision {
  const clock = Math.max(now, state.clock);
  if (limits.length === 0) return { effect: 'granted', state: { clock, tats: state.tats }, limits: [] };
  const tats = withDebtsCapped(state.tats, limits, clock);
  // What stays when the call is refused: the caps, so that they do not move on with the clock, but no charge.
  const uncharged = new Map(tats);
  let slowest: { name: string; waitMs: number } | null = null;
  for (const { name, spec } of limits) {
    const interval = intervalMs(spec);
    const tat = tatOf(tats, name, spec, clock);
    const waitMs = tat - (spec.burst - 1) * interval - clock;
    // Written so that a NaN of a senseless spec is limited, not granted.
    if (!(waitMs <= 0)) {
      if (slowest === null || !(waitMs <= slowest.waitMs)) slowest = { name, waitMs };
    } else tats.set(name, tat + interval);
  }
  if (slowest !== null) {
    const held = { clock, tats: uncharged };
    return {
      effect: 'limited',
      state: held,
      limits: limitStates(held, limits, clock),
      limit: slowest.name,
      retryAfterSeconds: Math.min(NEVER_SECONDS, Math.max(1, Math.ceil(slowest.waitMs / 1000) || NEVER_SECONDS)),
    };
  }
  const charged = { clock, tats };
  return { effect: 'granted', state: charged, limits: limitStates(charged, limits, clock) };
}

/** Where the limits stand at `now`, charging nothing. */
export function limitStates(state: RateState, limits: readonly NamedLimit[], now: number): LimitState[] {
  const clock = Math.max(now, state.clock);
  return limits.map(({ name, spec }) => {
    const usedMs = tatOf(state.tats, name, spec, clock) - clock;
    return {
      name,
      quota: spec.count,
      windowSeconds: Math.max(1, Math.ceil(spec.periodMs / 1000)),
      remaining: Math.max(0, Math.floor(spec.burst - usedMs / intervalMs(spec)) || 0),
      resetSeconds: Math.min(NEVER_SECONDS, Math.ceil(usedMs / 1000)),
    };
  });
}

/** Forgets limits whose whole burst is back: they are as good as new. */
export function pruneRate(state: RateState): RateState {
  return { clock: state.clock, tats: new Map([...state.tats].filter(([, tat]) => tat > state.clock)) };
}

/** Milliseconds between two calls at the steady rate; infinite for a spec that allows none. */
function intervalMs(spec: RateSpec): number {
  if (!(spec.count >= 1) || !(spec.burst >= 1) || !(spec.periodMs > 0)) return Number.POSITIVE_INFINITY;
  return Math.ceil((spec.periodMs / spec.count) * GRID) / GRID;
}

/** A policy that was loosened since the last charge must not make its callers wait out the old debt. */
function withDebtsCapped(
  tats: ReadonlyMap<string, number>,
  limits: readonly NamedLimit[],
  clock: number,
): Map<string, number> {
  const capped = new Map(tats);
  for (const { name, spec } of limits) {
    const tat = tatOf(tats, name, spec, clock);
    // An infinite one would not survive JSON, nor a policy that is mended.
    if (capped.has(name) && Number.isFinite(tat)) capped.set(name, tat);
  }
  return capped;
}

function tatOf(tats: ReadonlyMap<string, number>, name: string, spec: RateSpec, clock: number): number {
  const interval = intervalMs(spec);
  if (interval === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  return Math.min(Math.max(tats.get(name) ?? clock, clock), clock + spec.burst * interval);
}
