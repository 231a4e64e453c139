import { expect, it } from 'vitest';
import type { CallOutcome } from '../../src/audit/event.ts';
import { createOutbox, MAX_OUTCOMES, TAKER_PATIENCE_MS } from '../../src/ledger/outbox.ts';

const outcome = (requestId: string): CallOutcome => ({
  requestId,
  event: 'call.completed',
  at: 1,
  status: 200,
  reason: null,
  requestBytes: 0,
  responseBytes: 0,
  durationMs: 1,
  redactions: 0,
});
const ids = (outcomes: readonly CallOutcome[]): string[] => outcomes.map((one) => one.requestId);

it('what one has taken nobody else gets, until it is given back', () => {
  const box = createOutbox();
  box.put('a', outcome('1'));
  const taken = box.take('a', 10, 1000);
  expect(ids(taken)).toEqual(['1']);
  expect(box.take('a', 10, 1000)).toEqual([]);
  box.giveBack('a', taken);
  expect(ids(box.take('a', 10, 1001))).toEqual(['1']);
});

it('what is confirmed is gone, and only that', () => {
  const box = createOutbox();
  box.put('a', outcome('1'));
  const taken = box.take('a', 10, 1000);
  box.put('a', outcome('2'));
  box.confirm('a', taken);
  expect(box.size).toBe(1);
  expect(ids(box.take('a', 10, 1000))).toEqual(['2']);
});

it('a taker that never reports back loses what it took to the next', () => {
  const box = createOutbox();
  box.put('a', outcome('1'));
  box.take('a', 10, 1000);
  expect(box.ledgers(1000)).toEqual([]);
  expect(box.ledgers(1001 + TAKER_PATIENCE_MS)).toEqual(['a']);
  expect(ids(box.take('a', 10, 1001 + TAKER_PATIENCE_MS))).toEqual(['1']);
});

it('outcomes ride oldest first, within the limit, and only with their own ledger', () => {
  const box = createOutbox();
  for (const id of ['1', '2', '3']) box.put('a', outcome(id));
  box.put('b', outcome('4'));
  expect(ids(box.take('a', 2, 1000))).toEqual(['1', '2']);
  expect(ids(box.take('b', 2, 1000))).toEqual(['4']);
});

it('its memory is bounded, and what did not fit is counted', () => {
  const box = createOutbox();
  for (let i = 0; i < MAX_OUTCOMES + 5; i++) box.put('a', outcome(String(i)));
  expect(box.size).toBe(MAX_OUTCOMES);
  expect(box.dropped).toBe(5);
});

it('one that is put twice, or confirmed by two who took it, is counted once', () => {
  const box = createOutbox();
  box.put('a', outcome('1'));
  box.put('a', outcome('1'));
  expect(box.size).toBe(1);
  box.put('a', outcome('2'));
  const slow = box.take('a', 1, 1000);
  const next = box.take('a', 1, 1001 + TAKER_PATIENCE_MS);
  expect(ids(next)).toEqual(ids(slow));
  box.confirm('a', next);
  box.confirm('a', slow);
  expect(box.size).toBe(1);
  box.giveBack('a', slow);
  expect(ids(box.take('a', 10, 1002 + TAKER_PATIENCE_MS))).toEqual(['2']);
});

it('a ledger is to be asked as long as one outcome for it is with nobody', () => {
  const box = createOutbox();
  box.confirm('a', []);
  for (const id of ['1', '2']) box.put('a', outcome(id));
  box.take('a', 1, 1000);
  expect(box.ledgers(1000)).toEqual(['a']);
  box.take('a', 1, 1000);
  expect(box.ledgers(1000)).toEqual([]);
});
