import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { chunksInTime, GATHERING_MS, roomFor } from '../../src/upstream/gathering.ts';

const MB = 1024 * 1024;
const left: (() => void)[] = [];

/** Takes room, and gives it back when the test ends. */
async function take(bytes: number): Promise<boolean> {
  const leave = await roomFor(bytes);
  if (leave !== null) left.push(leave);
  return leave !== null;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  for (const leave of left.splice(0)) leave();
  vi.useRealTimers();
});

describe('room for bodies that must be whole', () => {
  it('is for four of the largest parts at once; the fifth waits until one is gone', async () => {
    for (let i = 0; i < 4; i++) expect(await take(8 * MB)).toBe(true);
    let fifth: boolean | null = null;
    void take(8 * MB).then((got) => {
      fifth = got;
    });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(fifth).toBeNull();
    left.shift()?.();
    await vi.advanceTimersByTimeAsync(20);
    expect(fifth).toBe(true);
  });

  it('is not waited for longer than a minute', async () => {
    expect(await take(32 * MB)).toBe(true);
    const asked = take(1);
    await vi.advanceTimersByTimeAsync(60_020);
    expect(await asked).toBe(false);
  });

  it('is free again when a request never gave its own back', async () => {
    expect(await roomFor(32 * MB)).not.toBeNull();
    await vi.advanceTimersByTimeAsync(GATHERING_MS);
    expect(await take(32 * MB)).toBe(true);
  });
});

describe('the chunks of a body', () => {
  it('come as they come', async () => {
    const seen: number[] = [];
    const body = new Response('hello').body as ReadableStream<Uint8Array>;
    for await (const chunk of chunksInTime(body)) seen.push(...chunk);
    expect(Buffer.from(seen).toString()).toBe('hello');
    expect(body.locked).toBe(false);
  });

  it('are an error when the last does not come in time, and its client is told that nobody reads on', async () => {
    let told = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(3)),
      cancel: () => {
        told = true;
      },
    });
    const chunks = chunksInTime(body);
    expect((await chunks.next()).value).toHaveLength(3);
    const next = expect(chunks.next()).rejects.toThrow('too late');
    await vi.advanceTimersByTimeAsync(GATHERING_MS);
    await next;
    expect(told).toBe(true);
  });

  it('that nobody wants any more are read no further', async () => {
    let told = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(3)),
      cancel: () => {
        told = true;
      },
    });
    for await (const _ of chunksInTime(body)) break;
    expect(told).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});
