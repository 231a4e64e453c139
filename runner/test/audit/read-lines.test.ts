import { describe, expect, it } from 'vitest';
import { linesOf } from '../../src/audit/read-lines.ts';

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const read = async (text: string | Buffer, size = 3, maxBytes?: number) => {
  const lines = [];
  for await (const line of linesOf(inPieces(Buffer.from(text as string), size), maxBytes)) lines.push(line);
  return lines;
};

describe('the lines of an export', () => {
  it.each([1, 2, 3, 7, 100])('are the same in pieces of %d bytes', async (size) => {
    expect(await read('{"a":"ü😀"}\n\n{"b":1}\nrest', size)).toEqual(['{"a":"ü😀"}', '', '{"b":1}', 'rest']);
  });

  it('are none in an empty file, and the last one needs no end', async () => {
    expect(await read('')).toEqual([]);
    expect(await read('a')).toEqual(['a']);
    expect(await read('a\n')).toEqual(['a']);
  });

  it('may end as on Windows; a carriage return elsewhere stays, to be judged', async () => {
    expect(await read('a\r\n\r\nb\rc\r\nd\r')).toEqual(['a', '', 'b\rc', 'd']);
    expect(await read('a\r\r\n')).toEqual(['a\r']);
  });

  it('may begin with a byte order mark; one that stands elsewhere stays, to be judged', async () => {
    expect(await read('\ufeffa\n\ufeffb\n')).toEqual(['a', '\ufeffb']);
    expect(await read('\ufeff\ufeffa\n')).toEqual(['\ufeffa']);
  });

  it('keep a NUL and every other control character, to be judged', async () => {
    expect(await read('a\u0000\u0085\u2028b\n')).toEqual(['a\u0000\u0085\u2028b']);
  });

  it('that are no UTF-8 spoil no other', async () => {
    const bytes = Buffer.concat([Buffer.from('a\n'), Buffer.from([0x62, 0xff]), Buffer.from('\nc\n')]);
    expect(await read(bytes)).toEqual(['a', { unreadable: 'is not UTF-8' }, 'c']);
    expect(await read(Buffer.from([0xed, 0xa0, 0x80]))).toEqual([{ unreadable: 'is not UTF-8' }]);
  });

  it('that are too long are not kept, and spoil no other', async () => {
    expect(await read(`a\n${'x'.repeat(11)}\n${'y'.repeat(10)}\nb`, 4, 10)).toEqual([
      'a',
      { unreadable: 'is longer than 10 bytes' },
      'y'.repeat(10),
      'b',
    ]);
    expect(await read('x'.repeat(50), 4, 10)).toEqual([{ unreadable: 'is longer than 10 bytes' }]);
  });
});
