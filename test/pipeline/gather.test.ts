import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GATHERING_MS, gather } from '../../src/pipeline/gather.ts';

const MB = 1024 * 1024;
const open: ReadableStreamDefaultController<Uint8Array>[] = [];
const silent = (): ReadableStream<Uint8Array> =>
  new ReadableStream({ start: (controller) => void open.push(controller) });

/** Reads a body to its end or error: its bytes, or null when there was no room for it. */
async function read(body: ReadableStream<Uint8Array>, bytes: number): Promise<number | null> {
  const chunks = await gather(body, bytes);
  if (chunks === null) return null;
  let length = 0;
  for await (const chunk of chunks) length += chunk.length;
  return length;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(async () => {
  for (const controller of open.splice(0)) controller.error();
  await vi.advanceTimersByTimeAsync(GATHERING_MS);
  vi.useRealTimers();
});

describe('a body that must be whole', () => {
  it('comes as it comes', async () => {
    const body = new Response('hello').body as ReadableStream<Uint8Array>;
    expect(await read(body, 5)).toBe(5);
    expect(body.locked).toBe(false);
  });

  it('waits, unread, while four of the largest come, until one of them is there', async () => {
    for (let i = 0; i < 4; i++) read(silent(), 8 * MB).catch(() => undefined);
    await vi.advanceTimersByTimeAsync(0);
    const fifth = new Response('hello').body as ReadableStream<Uint8Array>;
    const asked = read(fifth, 8 * MB);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(fifth.locked).toBe(false);
    open.shift()?.close();
    await vi.advanceTimersByTimeAsync(20);
    expect(await asked).toBe(5);
  });

  it('waits no longer than a minute, and is then as it was', async () => {
    read(silent(), 32 * MB).catch(() => undefined);
    const body = new Response('hello').body as ReadableStream<Uint8Array>;
    const asked = read(body, 1);
    await vi.advanceTimersByTimeAsync(60_020);
    expect(await asked).toBeNull();
    expect(body.locked).toBe(false);
  });

  it('has room again when a request vanished with its own', async () => {
    expect(await gather(silent(), 32 * MB)).not.toBeNull();
    await vi.advanceTimersByTimeAsync(GATHERING_MS);
    expect(await read(new Response('hello').body as ReadableStream<Uint8Array>, 32 * MB)).toBe(5);
  });

  it('is an error when its last chunk does not come in time; its client is told that nobody reads on', async () => {
    const cancelled = vi.fn();
    const asked = read(new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(3)), cancel: cancelled }), 32 * MB);
    const failed = expect(asked).rejects.toThrow('too late');
    await vi.advanceTimersByTimeAsync(GATHERING_MS - 1);
    expect(cancelled).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    await failed;
    expect(cancelled).toHaveBeenCalledOnce();
    expect(await read(new Response('hello').body as ReadableStream<Uint8Array>, 32 * MB)).toBe(5);
  });

  it('that nobody wants any more is read no further, and leaves room and clock', async () => {
    const cancelled = vi.fn();
    const body = new ReadableStream<Uint8Array>({ pull: (c) => c.enqueue(new Uint8Array(3)), cancel: cancelled });
    for await (const _ of (await gather(body, 32 * MB)) ?? []) break;
    expect(cancelled).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
    expect(await read(new Response('hello').body as ReadableStream<Uint8Array>, 32 * MB)).toBe(5);
  });
});
