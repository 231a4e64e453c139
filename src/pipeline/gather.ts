/**
 * Room for bodies that have to be whole before their first byte is sent. An isolate has 128 MB for all that it does, and an SDK
 * sends ten parts of a file at once: who finds no room waits for it, unread, so that its client waits, too.
 */
const MOST_BYTES = 32 * 1024 * 1024;
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 20;

/** The longest that one body may take to come, at 64 KB a second for the largest. */
export const GATHERING_MS = 131_072;

interface Taken {
  readonly bytes: number;
  /** Unix ms. A request that ended in whatever way without giving its room back has it no longer. */
  readonly until: number;
}

// Plain numbers: a promise of one request must not be awaited by another.
const taken = new Set<Taken>();

/**
 * Waits for room, and reads a body of `bytes` at most, which must have come within `GATHERING_MS`: later is an error, as is one
 * that breaks off. The room is given back when reading ends, however it ends.
 *
 * @returns The chunks; null when there was no room for a minute. Then the body is as it was.
 */
export async function gather(
  body: ReadableStream<Uint8Array>,
  bytes: number,
): Promise<AsyncIterable<Uint8Array> | null> {
  for (const begun = Date.now(); !fits(bytes); ) {
    if (Date.now() - begun >= PATIENCE_MS) return null;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  const mine = { bytes, until: Date.now() + GATHERING_MS };
  taken.add(mine);
  return chunksInTime(body, () => taken.delete(mine));
}

function fits(bytes: number): boolean {
  const now = Date.now();
  let sum = bytes;
  for (const one of taken) {
    if (one.until <= now) taken.delete(one);
    else sum += one.bytes;
  }
  return sum <= MOST_BYTES;
}

async function* chunksInTime(body: ReadableStream<Uint8Array>, leave: () => void): AsyncGenerator<Uint8Array, void> {
  const reader = body.getReader();
  let late = false;
  let ended = false;
  const timer = setTimeout(() => {
    late = true;
    reader.cancel().catch(() => undefined);
  }, GATHERING_MS);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (late) throw new Error('too late');
      ended = done;
      if (done) return;
      yield value;
    }
  } finally {
    leave();
    clearTimeout(timer);
    if (!ended) await reader.cancel().catch(() => undefined);
    reader.releaseLock();
  }
}
