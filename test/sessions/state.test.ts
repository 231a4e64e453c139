import { describe, expect, it } from 'vitest';
import { addUp, LOST_AFTER_MS, stateOf, totalsOf } from '../../src/sessions/state.ts';

const T = 1_800_000_000_000;

describe('where a session stands', () => {
  it.each([
    ['it runs until its deadline', null, null, T, 'running'],
    ['and while its runner has its minute to stop, sweep and tell', null, null, T + 60_000, 'running'],
    ['after that it is lost', null, null, T + 60_001, 'lost'],
    ['asked to end, it is stopping', T - 1, null, T, 'stopping'],
    ['asked to end, and never heard of again, it is lost too', T - 1, null, T + 60_001, 'lost'],
    ['with its receipt it has ended, whenever that came', T - 1, T + 90_000, T + 99_999_999, 'ended'],
  ] as const)('%s', (_, stopRequestedAt, endedAt, now, state) => {
    expect(LOST_AFTER_MS).toBe(60_000);
    expect(stateOf({ deadlineAt: T, stopRequestedAt, endedAt }, now)).toBe(state);
  });
});

it('counts are added up by their kind, and no sum is beyond what is exact', () => {
  const one = { path_class: 'aws', syscall: 'openat', count: 2 };
  expect(
    totalsOf({
      denied: [one, { ...one, count: 3 }],
      observed: [{ ...one, count: 7 }],
      blocked: [{ syscall: 'ptrace', count: 11 }],
      dropped: 13,
      sources: [],
    }),
  ).toEqual({ denied: 5, observed: 7, blocked: 11, dropped: 13 });
  expect(addUp([{ count: Number.MAX_SAFE_INTEGER }, { count: 1 }])).toBe(Number.MAX_SAFE_INTEGER);
});
