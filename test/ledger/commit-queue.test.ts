import { describe, expect, it } from 'vitest';
import { type Apply, CommitQueue } from '../../src/ledger/commit-queue.ts';

/** A queue whose groups are counted, on a disk that can be made to wait. */
function queueOn(durable: () => Promise<void> = async () => {}) {
  const groups: number[] = [];
  const queue = new CommitQueue((group) => {
    groups.push(group.length);
    return group.map((apply) => apply(null as never, null as never));
  }, durable);
  return { queue, groups };
}
const gives =
  <T>(value: T): Apply<T> =>
  () =>
    value;
const breaks: Apply<never> = () => {
  throw new Error('a bad row');
};

describe('what is committed together', () => {
  it('a call that is alone is written in the turn in which it comes', async () => {
    const { queue, groups } = queueOn();
    queue.expect(1);
    const answer = queue.add(gives('a'));
    expect(groups).toEqual([1]);
    expect(await answer).toBe('a');
  });

  it('calls that were announced wait for each other, and get their own answers', async () => {
    const { queue, groups } = queueOn();
    queue.expect(3);
    const first = queue.add(gives('a'));
    const second = queue.add(gives('b'));
    await Promise.resolve();
    const third = queue.add(gives('c'));
    expect(await Promise.all([first, second, third])).toEqual(['a', 'b', 'c']);
    expect(groups).toEqual([3]);
  });

  it('one that does not come is not waited for', async () => {
    const { queue, groups } = queueOn();
    queue.expect(2);
    expect(await queue.add(gives('a'))).toBe('a');
    expect(groups).toEqual([1]);
  });

  it('while one group goes to disk, the next gathers', async () => {
    const disk = Promise.withResolvers<void>();
    const { queue, groups } = queueOn(() => disk.promise);
    queue.expect(2);
    await Promise.all([queue.add(gives(1)), queue.add(gives(2))]);
    const later = [queue.add(gives(3)), queue.add(gives(4)), queue.add(gives(5))];
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(groups).toEqual([2]);
    disk.resolve();
    expect(await Promise.all(later)).toEqual([3, 4, 5]);
    expect(groups).toEqual([2, 3]);
  });
});

describe('what fails', () => {
  it('a group that cannot be written fails for all in it, and for nobody after it', async () => {
    const { queue } = queueOn();
    queue.expect(2);
    const settled = await Promise.allSettled([queue.add(gives('a')), queue.add(breaks)]);
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await queue.add(gives('b'))).toBe('b');
  });

  it('a disk that fails lets nobody who waits be answered', async () => {
    const disk = Promise.withResolvers<void>();
    const { queue, groups } = queueOn(() => disk.promise);
    queue.expect(2);
    await Promise.all([queue.add(gives(1)), queue.add(gives(2))]);
    const later = queue.add(gives(3));
    disk.reject(new Error('the disk is full'));
    await expect(later).rejects.toThrow('the disk is full');
    expect(groups).toEqual([2]);
  });
});
