import { describe, expect, it } from 'vitest';
import { printable } from '../../src/lib/printable.ts';

describe('text of others in a row or a log line', () => {
  it('of printable ASCII stays as it is', () => {
    const ascii = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 0x20 + i));
    expect(printable(ascii, 100)).toBe(ascii);
  });

  it.each([
    ['a line feed', 'a\nb', 'a\\u000ab'],
    ['an escape sequence', '\u001b[2J', '\\u001b[2J'],
    ['DEL', '\u007f', '\\u007f'],
    ['a C1 control', '\u009b', '\\u009b'],
    ['a letter', 'ü', '\\u00fc'],
    ['a bidirectional override', '\u202e', '\\u202e'],
    ['a pair, by its halves', '💥', '\\ud83d\\udca5'],
  ])('%s is spelt in ASCII', (_, text, shown) => {
    expect(printable(text, 100)).toBe(shown);
  });

  it('is never longer than asked for, whatever its spelling takes', () => {
    expect(printable('abcdef', 3)).toBe('abc');
    expect(printable('aüb', 4)).toBe('a\\u0');
  });
});
