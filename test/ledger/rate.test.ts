import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NamedLimit } from '../../src/ledger/contract.ts';
import { decideRate, emptyRateState, limitStates, pruneRate, type RateState } from '../../src/ledger/rate.ts';

const T = 1_800_000_000_000;
const limit = (count: number, periodMs: number, burst: number, name = 'stripe:refund'): NamedLimit => ({
  name,
  spec: { count, periodMs, burst },
});

function run(limits: readonly NamedLimit[], times: readonly number[]): { granted: number[]; state: RateState } {
  let state = emptyRateState;
  const granted: number[] = [];
  for (const time of times) {
    const decision = decideRate(state, limits, time);
    state = decision.state;
    if (decision.effect === 'granted') granted.push(time);
  }
  return { granted, state };
}

describe('a rate limit', () => {
  it('lets exactly the burst pass at once', () => {
    expect(run([limit(7, 1000, 3)], Array(10).fill(T)).granted).toHaveLength(3);
  });

  it('gives one call back after one interval, and not a millisecond before', () => {
    const { state } = run([limit(10, 60_000, 3)], [T, T, T]);
    expect(decideRate(state, [limit(10, 60_000, 3)], T + 5_999).effect).toBe('limited');
    expect(decideRate(state, [limit(10, 60_000, 3)], T + 6_000).effect).toBe('granted');
  });

  it('says how long to wait, and the wait suffices', () => {
    const limits = [limit(10, 60_000, 1)];
    const { state } = run(limits, [T]);
    const refused = decideRate(state, limits, T + 1);
    expect(refused).toMatchObject({ effect: 'limited', limit: 'stripe:refund', retryAfterSeconds: 6 });
    expect(decideRate(refused.state, limits, T + 1 + 6_000).effect).toBe('granted');
  });

  it('says a long wait to the second', () => {
    const limits = [limit(1, 86_400_000, 1)];
    const { state } = run(limits, [T]);
    expect(decideRate(state, limits, T)).toMatchObject({ effect: 'limited', retryAfterSeconds: 86_400 });
    expect(decideRate(state, limits, T + 1_000)).toMatchObject({ effect: 'limited', retryAfterSeconds: 86_399 });
  });

  it('never lets more than burst + elapsed / interval pass in any window', () => {
    const spec = fc.record({
      count: fc.integer({ min: 1, max: 1000 }),
      periodMs: fc.integer({ min: 1, max: 3_600_000 }),
      burst: fc.integer({ min: 1, max: 20 }),
    });
    fc.assert(
      fc.property(
        spec,
        fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 120 }),
        (one, steps) => {
          let time = T;
          const { granted } = run(
            [{ name: 'x', spec: one }],
            steps.map((step) => (time += step)),
          );
          for (let first = 0; first < granted.length; first++) {
            for (let last = first; last < granted.length; last++) {
              const elapsed = (granted[last] as number) - (granted[first] as number);
              // Integers only: no rounding in the test itself.
              expect((last - first + 1 - one.burst) * one.periodMs).toBeLessThanOrEqual(elapsed * one.count);
            }
          }
        },
      ),
    );
  });

  it('reaches its steady rate: a caller that asks as often as allowed is never refused', () => {
    const times = Array.from({ length: 600 }, (_, index) => T + index * 1000);
    expect(run([limit(60, 60_000, 1)], times).granted).toHaveLength(600);
  });

  it('grants nothing for a clock that steps back', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -100_000, max: 100_000 }), { maxLength: 80 }), (steps) => {
        let time = T;
        const times = steps.map((step) => (time += step));
        let latest = 0;
        const forward = times.map((one) => (latest = Math.max(latest, one)));
        expect(run([limit(3, 10_000, 2)], times).granted.length).toBe(
          run([limit(3, 10_000, 2)], forward).granted.length,
        );
      }),
    );
  });
});

describe('several limits', () => {
  it('are charged together or not at all', () => {
    const wide = limit(100, 60_000, 100, 'agent');
    const tight = limit(1, 60_000, 1, 'tight');
    const first = decideRate(emptyRateState, [wide, tight], T);
    const second = decideRate(first.state, [wide, tight], T);
    expect(second).toMatchObject({ effect: 'limited', limit: 'tight' });
    expect(limitStates(second.state, [wide], T)[0]?.remaining).toBe(99);
    // Also when the refusing limit comes first.
    expect(limitStates(decideRate(first.state, [tight, wide], T).state, [wide], T)[0]?.remaining).toBe(99);
  });

  it('name the one that takes longest', () => {
    const limits = [limit(1, 1_000, 1, 'short'), limit(1, 60_000, 1, 'long')];
    expect(decideRate(decideRate(emptyRateState, limits, T).state, limits, T)).toMatchObject({
      limit: 'long',
      retryAfterSeconds: 60,
    });
  });

  it('of the same name are one limit, charged for each mention', () => {
    const twice = [limit(2, 60_000, 2), limit(2, 60_000, 2)];
    expect(run(twice, [T, T]).granted).toHaveLength(1);
  });
});

describe('a senseless limit lets nothing pass', () => {
  it.each([
    ['no calls', 0, 1000, 1],
    ['no burst', 1, 1000, 0],
    ['no period', 1, 0, 1],
    ['a negative count', -1, 1000, 1],
    ['not a number', Number.NaN, 1000, 1],
    ['a burst that is no number', 1, 1000, Number.NaN],
  ])('%s', (_, count, periodMs, burst) => {
    const decision = decideRate(emptyRateState, [limit(count, periodMs, burst)], T);
    expect(decision.effect).toBe('limited');
    if (decision.effect === 'limited') expect(decision.retryAfterSeconds).toBeGreaterThanOrEqual(1);
  });
});

describe('what the RateLimit fields say', () => {
  it('quota and window of the policy, what is left, and when all of it is back', () => {
    const { state } = run([limit(10, 60_000, 3)], [T, T]);
    expect(limitStates(state, [limit(10, 60_000, 3)], T)).toEqual([
      { name: 'stripe:refund', quota: 10, windowSeconds: 60, remaining: 1, resetSeconds: 12 },
    ]);
  });

  it('is consistent: what is left is what still passes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 20_000 }), (calls, pause) => {
        const limits = [limit(7, 10_000, 12)];
        const { state } = run(limits, Array(calls).fill(T));
        const left = limitStates(state, limits, T + pause)[0]?.remaining ?? -1;
        let current = state;
        let passed = 0;
        for (let i = 0; i < 20; i++) {
          const decision = decideRate(current, limits, T + pause);
          current = decision.state;
          if (decision.effect === 'granted') passed++;
        }
        expect(passed).toBe(left);
      }),
    );
  });

  it('forgetting a limit that is whole again changes no decision', () => {
    const { state } = run([limit(1, 1000, 1)], [T]);
    const later = decideRate(state, [], T + 1000).state;
    expect(pruneRate(later).tats.size).toBe(0);
    expect(pruneRate(state).tats.size).toBe(1);
  });

  it('a loosened policy makes its callers wait for one interval of the new one at most', () => {
    const loosened = [limit(60, 60_000, 1)];
    const { state } = run([limit(1, 3_600_000, 1)], [T]);
    const refused = decideRate(state, loosened, T + 5000);
    expect(refused).toMatchObject({ effect: 'limited', retryAfterSeconds: 1 });
    expect(decideRate(refused.state, loosened, T + 6000).effect).toBe('granted');
  });
});
