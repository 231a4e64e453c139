import { describe, expect, it } from 'vitest';
import { type Load, mayPushWait } from '../../src/ledger/push-delay.ts';

const busy: Load = { waitingRows: 5_000, maxWaitingRows: 50_000, failures: 0, sinceCommitMs: 10, waitingMs: 2_000 };

describe('a push to D1', () => {
  it('waits while many rows wait and calls come', () => expect(mayPushWait(busy)).toBe(true));

  it.each<[string, Partial<Load>]>([
    ['few rows wait', { waitingRows: 499 }],
    ['no call has come for a moment', { sinceCommitMs: 250 }],
    ['the oldest row has waited ten seconds', { waitingMs: 10_000 }],
    ['a quarter of the room is taken', { waitingRows: 12_500 }],
    ['the last one failed', { failures: 1 }],
    ['there is little room at all', { maxWaitingRows: 300 }],
  ])('goes when %s', (_, change) => expect(mayPushWait({ ...busy, ...change })).toBe(false));
});
