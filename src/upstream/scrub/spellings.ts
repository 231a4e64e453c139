import type { ByteSet, Graph, Spelling } from './graph.ts';

/**
 * How a credential may be spelled in an answer. Each function gives, character by character, what may stand
 * for it, so that any *mixture* (`%73k_l\u0069ve`) is one path through the graph as well.
 */

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** Enough for entities that are all written eight digits wide. */
const MAX_ENTITY_ZEROS = 7;
/** A bit of a neighbour. */
const ANY = '?';

const ENTITIES: Readonly<Record<string, readonly string[]>> = {
  '&': ['&amp;', '&AMP;'],
  '<': ['&lt;', '&LT;'],
  '>': ['&gt;', '&GT;'],
  '"': ['&quot;', '&QUOT;'],
  "'": ['&apos;'],
  '+': ['&plus;'],
  '/': ['&sol;'],
  '=': ['&equals;'],
  ' ': ['&nbsp;'],
  '!': ['&excl;'],
  '#': ['&num;'],
  $: ['&dollar;'],
  '%': ['&percnt;'],
  '(': ['&lpar;'],
  ')': ['&rpar;'],
  '*': ['&ast;', '&midast;'],
  ',': ['&comma;'],
  '.': ['&period;'],
  ':': ['&colon;'],
  ';': ['&semi;'],
  '?': ['&quest;'],
  '@': ['&commat;'],
  '[': ['&lsqb;', '&lbrack;'],
  '\\': ['&bsol;'],
  ']': ['&rsqb;', '&rbrack;'],
  '^': ['&Hat;'],
  _: ['&lowbar;', '&UnderBar;'],
  '`': ['&grave;', '&DiacriticalGrave;'],
  '{': ['&lcub;', '&lbrace;'],
  '|': ['&vert;', '&verbar;', '&VerticalLine;'],
  '}': ['&rcub;', '&rbrace;'],
};

const bytes = (text: string): Spelling => [...text].map((c) => [c.charCodeAt(0)]);
const hexDigit = (value: number): ByteSet => {
  const digit = value.toString(16);
  return [...new Set([digit.charCodeAt(0), digit.toUpperCase().charCodeAt(0)])];
};
const hexPair = (code: number): Spelling => [hexDigit(code >> 4), hexDigit(code & 15)];

const BACKSLASH_ESCAPED: Spelling = [...bytes('%'), ...hexPair(0x5c)];

/** What stands for a character is the same wherever it stands: made once. */
function once<T>(make: (key: string) => T): (key: string) => T {
  const made = new Map<string, T>();
  return (key) => {
    let value = made.get(key);
    if (value === undefined) {
      value = make(key);
      made.set(key, value);
    }
    return value;
  };
}

/** Every spelling of one printable ASCII character in text: raw, percent, JSON, HTML, quoted-printable, `\x`. */
const textSpellings = once((char): readonly Spelling[] => {
  const code = char.charCodeAt(0);
  const pair = hexPair(code);
  const spellings: Spelling[] = [
    bytes(char),
    [...bytes('%'), ...pair],
    // RFC 3986 §2.4: encoded again, `%25` for the `%`.
    [...bytes('%25'), ...pair],
    // RFC 8259 §7, and the same inside a JSON string inside JSON.
    [...bytes('\\u00'), ...pair],
    [...bytes('\\\\u00'), ...pair],
    [...bytes('\\x'), ...pair],
    // RFC 2045 §6.7
    [...bytes('='), ...pair],
    ...(ENTITIES[char] ?? []).map(bytes),
  ];
  for (let zeros = 0; zeros <= MAX_ENTITY_ZEROS; zeros++) {
    const pad = '0'.repeat(zeros);
    // HTML reads a numeric reference without its semicolon, too.
    for (const end of ['', ';']) {
      spellings.push(bytes(`&#${pad}${code}${end}`));
      spellings.push([...bytes('&#'), [0x78, 0x58], ...bytes(pad), ...pair, ...bytes(end)]);
    }
  }
  if (char === '"' || char === '\\' || char === '/' || char === "'") {
    for (const escapes of char === '\\' ? ['\\', '\\\\\\'] : ['\\', '\\\\', '\\\\\\'])
      spellings.push(bytes(escapes + char));
    // A page that shows JSON, or source text; and an address that holds it.
    for (const entity of [...(ENTITIES[char] ?? []), `&#${code};`]) spellings.push(bytes(`\\${entity}`));
    spellings.push([...bytes('\\&#x'), ...pair, ...bytes(';')], [...BACKSLASH_ESCAPED, ...bytes('%'), ...pair]);
  }
  spellings.push([...BACKSLASH_ESCAPED, ...bytes('u00'), ...pair]);
  if (char === ' ') spellings.push(bytes('+'));
  return spellings;
});

/** Patterns that may have one of the gaps between two characters, or none. What stands for a character is made once, as that is. */
function gapped(
  gaps: readonly Spelling[],
): (characters: readonly (readonly Spelling[])[], from?: number) => (readonly Spelling[])[] {
  const made = new WeakMap<readonly Spelling[], readonly Spelling[]>();
  const withGaps = (spellings: readonly Spelling[]): readonly Spelling[] => {
    let all = made.get(spellings);
    if (all === undefined) {
      all = [...spellings, ...gaps.flatMap((gap) => spellings.map((spelling) => [...gap, ...spelling]))];
      made.set(spellings, all);
    }
    return all;
  };
  return (characters, from = 1) => characters.map((spellings, i) => (i < from ? spellings : withGaps(spellings)));
}

/** RFC 2045 §6.7: a soft line break. */
const softBroken = gapped(['=\r\n', '=\n'].map(bytes));

/** Where base64 is wrapped (RFC 2045 §6.8, RFC 7468), raw or within a JSON string, one within another, or a form. */
const inLines = gapped(
  [
    ['\r', '\n'],
    ['\\r', '\\n'],
    ['\\\\r', '\\\\n'],
    ['%0D', '%0A'],
    ['%0d', '%0a'],
  ].flatMap(([cr = '', lf = '']) => [bytes(lf), bytes(cr + lf)]),
);

/** Between bytes that are written one by one. */
const byteByByte = gapped([':', '-', ' ', ',', ', ', ' 0x', ',0x', ', 0x'].map(bytes));

/** Hexadecimal of the bytes, in either case or both, in one piece or byte by byte. */
function hexPattern(secret: string): (readonly Spelling[])[] {
  return byteByByte([...secret].map(hexSpelling));
}

const hexSpelling = once((char): readonly Spelling[] => [hexPair(char.charCodeAt(0))]);

/** The characters with `zeros` NUL bytes between: UTF-16 and UTF-32 of either byte order (the outermost NULs stay). */
function widePattern(secret: string, zeros: number): Spelling[][] {
  const gap: ByteSet[] = Array.from({ length: zeros }, () => [0]);
  return [...secret].map((char, i) => [i === 0 ? bytes(char) : [...gap, ...bytes(char)]]);
}

/**
 * Base64 or base64url (RFC 4648 §4, §5) of any text in which the credential begins at `alignment` modulo 3.
 * At either end a base64 character may hold bits of its neighbours too. At the end, every character stands that agrees
 * with the credential's own bits. At the front that would make a match begin at every fourth character of any text, so
 * the one which holds two or four bits of the credential stays, as padding does.
 */
function base64Pattern(secret: string, alignment: number): (readonly Spelling[])[] {
  const bits: string[] = Array.from({ length: alignment * 8 }, () => ANY);
  for (const char of secret) {
    for (let bit = 7; bit >= 0; bit--) bits.push(String((char.charCodeAt(0) >> bit) & 1));
  }
  while (bits.length % 6 !== 0) bits.push(ANY);
  const pattern: (readonly Spelling[])[] = [];
  for (let at = Math.ceil((alignment * 8) / 6) * 6; at < bits.length; at += 6) {
    pattern.push(sextetSpellings(bits.slice(at, at + 6).join('')));
  }
  return pattern;
}

/** Base64 characters (of three bytes) after which a line may end within a long credential; and bytes of a long one. */
const LEAD = 4;
const LONG = 16;

/**
 * The same in lines. A line of ordinary text that ends in the first character of a credential must not wait for the next one, so
 * a long credential is broken after some characters only; where it is broken before, it is found without them.
 */
function wrappedPatterns(secret: string, alignment: number): (readonly Spelling[])[][] {
  const pattern = base64Pattern(secret, alignment);
  if (secret.length < LONG) return [inLines(pattern)];
  return [inLines(pattern, LEAD), inLines(pattern.slice(LEAD), LEAD)];
}

/** @param sextet  Six of `0`, `1` and {@link ANY}. */
const sextetSpellings = once((sextet): readonly Spelling[] => {
  const plain: number[] = [];
  const spellings: Spelling[] = [[plain]];
  for (let value = 0; value < 64; value++) {
    if (![...sextet].every((bit, i) => bit === ANY || bit === String((value >> (5 - i)) & 1))) continue;
    if (value === 62) {
      plain.push(0x2d);
      spellings.push(...textSpellings('+'));
    } else if (value === 63) {
      plain.push(0x5f);
      spellings.push(...textSpellings('/'));
    } else {
      plain.push(BASE64.charCodeAt(value));
    }
  }
  return spellings;
});

/** The automaton that reads every spelling of one secret. */
export function addSpellings(graph: Graph, secret: string): void {
  const characters = [...secret];
  graph.addPattern(softBroken(characters.map(textSpellings)));
  graph.addPattern(characters.toReversed().map(textSpellings));
  graph.addPattern(hexPattern(secret));
  graph.addPattern(widePattern(secret, 1));
  graph.addPattern(widePattern(secret, 3));
  for (const alignment of [0, 1, 2])
    for (const pattern of wrappedPatterns(secret, alignment)) graph.addPattern(pattern);
}
