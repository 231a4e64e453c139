import { closestOf } from './spelling.ts';

/** What other languages have a word or sign for, and CEL another. */
const WORDS: Readonly<Record<string, string>> = {
  and: "write '&&'",
  or: "write '||'",
  not: "write '!'",
  is: "write '=='",
  like: 'write .startsWith(…), .endsWith(…), .contains(…) or .matches(…)',
  contains: 'write it after a dot: path.contains("x")',
  startsWith: 'write it after a dot: path.startsWith("/x")',
  endsWith: 'write it after a dot: path.endsWith("/x")',
  matches: 'write it after a dot: path.matches("^/x$")',
};

/** Each at the place that the parser stumbles over, or just before it. */
const SIGNS: readonly (readonly [RegExp, string])[] = [
  [/^=</, "write '<='"],
  [/^=>/, "write '>='; a loop takes a comma: list.all(x, x > 1)"],
  [/^<>/, "write '!='"],
  [/^[=!]==/, "write '==' or '!=', with two signs"],
  [/^=(?!=)/, "to compare, write '=='"],
  [/^&(?!&)/, "write '&&'"],
  [/^\|(?!\|)/, "write '||'"],
  [/^[\u2018-\u201f]/, 'write plain quotes: "text"'],
];

const METHODS = [
  'startsWith',
  'endsWith',
  'contains',
  'matches',
  'size',
  'all',
  'exists',
  'exists_one',
  'filter',
  'map',
];

/**
 * How to mend what the parser or the type check of CEL refused, where it is a slip that people make.
 *
 * @param offset  Where it stumbled, in UTF-16 units.
 * @returns The mend, or null when it is none of them.
 */
export function mendOfCel(text: string, message: string, offset: number): string | null {
  if (/no such overload:.*Timestamp/.test(message)) return 'write timestamp("2026-01-31T00:00:00Z")';
  if (/no such overload: .* in string/.test(message)) return 'write a list, x in ["a", "b"], or text.contains(x)';
  if (/no such overload: \S+ (?:[<>]=?|[=!]=) \S+/.test(message))
    return 'compare like with like: a number with a number, text with "text"';
  if (/'(?:\w+\.)?(?:len|length)\(/.test(message)) return 'write size(path)';
  const method = /'\w+\.(\w+)\(/.exec(message)?.[1];
  if (method !== undefined) {
    const near = closestOf(method, METHODS);
    return near === null || near === method ? null : `did you mean '${near}'?`;
  }
  if (/\bEOF\b|^Unterminated/.test(message)) return 'it ends too early: close what is open, or write what is missing';
  // Signs before the place belong to it: of `=<` and `===` the parser has taken the first for its own.
  const signs = /[=!<>&|]*$/.exec(text.slice(0, offset))?.[0].length ?? 0;
  const sign = SIGNS.find(([pattern]) => pattern.test(text.slice(offset - signs)));
  if (sign !== undefined) return sign[1];
  // `not has(x)` is refused at the word behind, and within it.
  const words = /(?:(\w+)\s+)?(\w*)$/.exec(text.slice(0, offset));
  const here = (words?.[2] ?? '') + (/^\w*/.exec(text.slice(offset))?.[0] ?? '');
  const word = [here, words?.[1] ?? ''].find((one) => Object.hasOwn(WORDS, one));
  return word === undefined ? null : (WORDS[word] as string);
}

/** The same for a name that is no variable. */
export function mendOfName(text: string, name: string, offset: number): string | null {
  const header = /headers\.([\w-]*-)$/.exec(text.slice(0, offset))?.[1];
  if (header !== undefined) return `write headers["${header}${/^[\w-]*/.exec(text.slice(offset))?.[0] ?? ''}"]`;
  return /^[A-Z][A-Z_]*$/.test(name) ? `text stands in quotes: "${name}"` : null;
}
