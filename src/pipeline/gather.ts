import type { Gather } from '../upstream/aws-chunked-body.ts';

/**
 * Room for bodies that have to be whole before their first byte is sent. An isolate has 128 MB for all that it does, and an SDK
 * sends ten parts of a file at once: who finds no room waits for it, unread, so that its client waits, too.
 */
const MOST_BYTES = 32 * 1024 * 1024;
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 20;
const READ_BYTES = 65_536;

/** The longest that one body may take to come, at 64 KB a second for the largest. */
export const GATHERING_MS = 131_072;
/** The same to be sent. A request that vanished without giving its room back has it no longer. */
const KEPT_MS = 2 * GATHERING_MS;

interface Taken {
  readonly bytes: number;
  /** Unix ms. */
  readonly until: number;
}

// Plain numbers: a promise of one request must not be awaited by another.
const taken = new Set<Taken>();

/** One call's room: who gathers, and what gives the room back when the body has been sent, or will not be. */
export interface Room {
  readonly gather: Gather;
  readonly leave: () => void;
}

export function roomOf(): Room {
  let mine: Taken | null = null;
  return {
    gather: async (body, bytes) => {
      for (const begun = Date.now(); !fits(bytes); ) {
        if (Date.now() - begun >= PATIENCE_MS) return null;
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
      mine = { bytes, until: Date.now() + KEPT_MS };
      taken.add(mine);
      return chunksInTime(body);
    },
    leave: () => void (mine !== null && taken.delete(mine)),
  };
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

/** Each chunk is good until the next is asked for; one that does not come in time is an error, as one that breaks off is. */
async function* chunksInTime(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = body.getReader({ mode: 'byob' });
  let late = false;
  let ended = false;
  const timer = setTimeout(() => {
    late = true;
    reader.cancel().catch(() => undefined);
  }, GATHERING_MS);
  try {
    for (let buffer = new ArrayBuffer(READ_BYTES); ; ) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (late) throw new Error('too late');
      ended = done;
      if (done) return;
      yield value;
      buffer = value.buffer;
    }
  } finally {
    clearTimeout(timer);
    if (!ended) await reader.cancel().catch(() => undefined);
    reader.releaseLock();
  }
}
