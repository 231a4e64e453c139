import { expect, it } from 'vitest';
import { begin, end } from '../../src/ledger/in-flight.ts';

it('counts what was begun and has not ended, by ledger', () => {
  expect([begin('a', '1', 0), begin('a', '2', 1), begin('b', '3', 1)]).toEqual([1, 2, 1]);
  end('a', '1');
  end('a', 'never begun');
  expect(begin('a', '4', 2)).toBe(2);
});

it('forgets a call of two seconds: it is a long answer, or was lost', () => {
  begin('c', 'lost', 0);
  expect(begin('c', 'next', 1_999)).toBe(2);
  expect(begin('c', 'later', 2_000)).toBe(2);
});
