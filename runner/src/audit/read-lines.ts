import type { LineRead } from '../../../src/offline.ts';

/** The longest line of an export is its checkpoint, with some 250 bytes for each ledger; this is room for 250,000 of them. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Lines of a file, each decoded on its own: one that is too long or no UTF-8 spoils no other, and fills no memory. What
 * tools put around lines on the way is left out: carriage returns before their ends, a byte order mark before the first.
 */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>, maxBytes = MAX_LINE_BYTES): AsyncGenerator<LineRead> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let first = true;
  const keep = (part: Uint8Array): void => {
    length += part.length;
    if (length <= maxBytes) parts.push(part);
    else parts = [];
  };
  const ended = (): LineRead => {
    const line = length > maxBytes ? { unreadable: `is longer than ${maxBytes} bytes` } : textOf(Buffer.concat(parts));
    parts = [];
    length = 0;
    const unmarked = first && typeof line === 'string' ? line.replace(/^\ufeff/, '') : line;
    first = false;
    return unmarked;
  };
  for await (const chunk of bytes) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      keep(chunk.subarray(from, end));
      from = end + 1;
      yield ended();
    }
    if (from < chunk.length) keep(chunk.subarray(from));
  }
  if (length > 0) yield ended();
}

// A decoder that takes a byte order mark away would do so before every line.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(line: Buffer): LineRead {
  const end = line.at(-1) === CARRIAGE_RETURN ? line.length - 1 : line.length;
  try {
    return decoder.decode(line.subarray(0, end));
  } catch {
    return { unreadable: 'is not UTF-8' };
  }
}
