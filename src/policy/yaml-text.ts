import { Lexer } from 'yaml';

/** Finds things in the text of a YAML file that may be broken. Offsets count UTF-16 units. */

/** The rule without quotes that stands around an offset: `GET /v1/{id}`. Nothing else of a file is ever repeated. */
export function ruleAt(text: string, at: number): string | null {
  const start = text.lastIndexOf('\n', at - 1) + 1;
  for (const match of lineFrom(text, start).matchAll(/(?<![^\s[{,])(\*|[A-Z]+(\|[A-Z]+)*) ?\/[^\s,"']*/g)) {
    if (start + match.index > at || start + match.index + match[0].length <= at) continue;
    return withoutStrayBrackets(match[0]).replace(/^\*\//, '* /');
  }
  return null;
}

/** `GET /v1/{id}}]` is `GET /v1/{id}` at the end of a mapping in a list. */
function withoutStrayBrackets(rule: string): string {
  const count = (char: string): number => rule.split(char).length - 1;
  const stray = rule.endsWith(']') || (rule.endsWith('}') && count('}') > count('{'));
  return stray ? withoutStrayBrackets(rule.slice(0, -1)) : rule.replace(/:$/, '');
}

/** The name of the field that stands at an offset, quoted. */
export const keyAt = (text: string, at: number): string =>
  `'${/^["']?([\w.:-]*\w)/.exec(lineFrom(text, at))?.[1] ?? ''}'`;

/** The rest of the line from an offset on. */
export function lineFrom(text: string, at: number): string {
  return /^[^\r\n]*/.exec(text.slice(at))?.[0] ?? '';
}

/** Where the first line with something on it begins, from the line of an offset on. */
export function firstOfLine(text: string, at: number): number {
  const start = text.lastIndexOf('\n', at - 1) + 1;
  return start + (/^([^\S\n]*(#[^\n]*)?\n)*[ ]*/.exec(text.slice(start))?.[0].length ?? 0);
}

interface Token {
  readonly offset: number;
  readonly source: string;
}

/** What the lexer cuts the text into. Its marks of one control character stand for no text. */
function* tokensOf(text: string): Generator<Token> {
  let offset = 0;
  for (const source of new Lexer().lex(text)) {
    if (/^[\u0002\u0018\u001f]$/.test(source)) continue;
    yield { offset, source };
    offset += source.length;
  }
}

/** The text in quotes whose last character stands before an offset. */
export function quotedEndingAt(text: string, end: number): Token | null {
  for (const token of tokensOf(text))
    if (/^["']/.test(token.source) && token.offset + token.source.length === end) return token;
  return null;
}

/** The innermost `[` or `{` that is open at an offset. */
export function openBracketAt(text: string, at: number): number | null {
  const open: number[] = [];
  for (const { offset, source } of tokensOf(text)) {
    if (offset >= at) break;
    if (source === '[' || source === '{') open.push(offset);
    if (source === ']' || source === '}') open.pop();
  }
  return open.at(-1) ?? null;
}
