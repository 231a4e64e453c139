import { describe, expect, it } from 'vitest';
import { harmless, harmlessLine } from '../../runner/src/cli/terminal.ts';

describe('what agents wrote cannot act on a terminal', () => {
  it.each([
    ['an ANSI sequence', 'a\u001b[2Jb', 'a\\u{1b}[2Jb'],
    ['C1 controls', 'a\u009b2Jb', 'a\\u{9b}2Jb'],
    ['carriage return and backspace', 'a\rb\bc', 'a\\u{d}b\\u{8}c'],
    ['a bell and DEL', '\u0007\u007f', '\\u{7}\\u{7f}'],
    ['bidi overrides and isolates', 'a\u202eb\u2066c\u061c', 'a\\u{202e}b\\u{2066}c\\u{61c}'],
    ['zero-width characters', 'a\u200bb\ufeff', 'a\\u{200b}b\\u{feff}'],
    ['invisible tag characters', 'a\u{e0041}', 'a\\u{e0041}'],
    ['half a surrogate pair', 'a\ud800b', 'a\\u{d800}b'],
  ])('%s is shown, not obeyed', (_what, text, shown) => {
    expect(harmless(text)).toBe(shown);
  });

  it('plain text of any script stays as it is', () => {
    const text = 'GET /v1/Ünïcode/日本語/😀\t(ok)\n';
    expect(harmless(text)).toBe(text);
  });

  it('a field of one line stays one line', () => {
    expect(harmlessLine('a\nb\tc')).toBe('a\\nb\\tc');
  });
});
