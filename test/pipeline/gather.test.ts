import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GATHERING_MS, roomOf } from '../../src/pipeline/gather.ts';

const MB = 1024 * 1024;
const open: ReadableByteStreamController[] = [];
const silent = (): ReadableStream<Uint8Array> =>
  new ReadableStream({ type: 'bytes', start: (controller) => void open.push(controller) });

/** Reads a body to its end or error, and gives its room back: its bytes, or null when there was no room for it. */
async function read(
  body: ReadableStream<Uint8Array>,
  bytes: number,
  { gather, leave } = roomOf(),
): Promise<number | null> {
  try {
    const chunks = await gather(body, bytes);
    if (chunks === null) return null;
    let length = 0;
    for await (const chunk of chunks) length += chunk.length;
    return length;
  } finally {
    leave();
  }
}

const hello = (): ReadableStream<Uint8Array> => new Blob(['hello']).stream() as ReadableStream<Uint8Array>;

/** Three bytes, and never an end. */
const begun = (cancel: () => void): ReadableStream<Uint8Array> =>
  new ReadableStream({ type: 'bytes', start: (controller) => controller.enqueue(new Uint8Array(3)), cancel });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
});
afterEach(async () => {
  for (const controller of open.splice(0)) controller.error();
  await vi.advanceTimersByTimeAsync(GATHERING_MS);
  vi.useRealTimers();
});

describe('a body that must be whole', () => {
  it('comes as it comes', async () => {
    const body = hello();
    expect(await read(body, 5)).toBe(5);
    expect(body.locked).toBe(false);
  });

  it('waits, unread, while four of the largest come, until one of them is there', async () => {
    for (let i = 0; i < 4; i++) read(silent(), 8 * MB).catch(() => undefined);
    await vi.advanceTimersByTimeAsync(0);
    const fifth = hello();
    const asked = read(fifth, 8 * MB);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(fifth.locked).toBe(false);
    const [first] = open.splice(0, 1);
    first?.close();
    first?.byobRequest?.respond(0);
    await vi.advanceTimersByTimeAsync(20);
    expect(await asked).toBe(5);
  });

  it('waits no longer than a minute, and is then as it was', async () => {
    read(silent(), 32 * MB).catch(() => undefined);
    const body = hello();
    const asked = read(body, 1);
    await vi.advanceTimersByTimeAsync(60_020);
    expect(await asked).toBeNull();
    expect(body.locked).toBe(false);
  });

  it('has its room until it is sent, and no longer when its request vanished with it', async () => {
    const vanished = roomOf();
    for await (const _ of (await vanished.gather(hello(), 32 * MB)) ?? []) {
    }
    const asked = read(hello(), 32 * MB);
    await vi.advanceTimersByTimeAsync(30_000);
    vanished.leave();
    await vi.advanceTimersByTimeAsync(20);
    expect(await asked).toBe(5);

    expect(await roomOf().gather(silent(), 32 * MB)).not.toBeNull();
    await vi.advanceTimersByTimeAsync(2 * GATHERING_MS);
    expect(await read(hello(), 32 * MB)).toBe(5);
  });

  it('is an error when its last chunk does not come in time; its client is told that nobody reads on', async () => {
    const cancelled = vi.fn();
    const failed = expect(read(begun(cancelled), 32 * MB)).rejects.toThrow('too late');
    await vi.advanceTimersByTimeAsync(GATHERING_MS - 1);
    expect(cancelled).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    await failed;
    expect(cancelled).toHaveBeenCalledOnce();
  });

  it('that nobody wants any more is read no further', async () => {
    const cancelled = vi.fn();
    const { gather, leave } = roomOf();
    for await (const _ of (await gather(begun(cancelled), 32 * MB)) ?? []) break;
    leave();
    expect(cancelled).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
  });
});
