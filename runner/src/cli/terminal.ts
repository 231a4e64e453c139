import { styleText } from 'node:util';
import { shellWord } from '../shell-word.ts';

/**
 * Printing. Results go to stdout, everything said about them to stderr. Colours only on a terminal and never
 * against NO_COLOR (`styleText` looks at both).
 */

// By property, not by list: control (Cc) but tab and newline, format (Cf: bidi, zero-width, tags), line and paragraph
// separators, halves of surrogate pairs (Cs), private use and unassigned.
const HARMFUL = /(?![\t\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu;

/** Text that others control, made harmless for a terminal: what would move, hide or reorder is shown as `\u{…}`. */
export function harmless(text: string): string {
  return text.replace(HARMFUL, (found) => `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The same for a field of one line: newlines and tabs are escaped too. */
export function harmlessLine(text: string): string {
  return harmless(text).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function note(line: string): void {
  process.stderr.write(`keywarden: ${line}\n`);
}

/** How the rest of a list is had. */
export const nextPage = (cursor: string): string => `narrow it, or add --cursor ${harmlessLine(shellWord(cursor))}`;

export function complain(message: string, hints: readonly string[]): void {
  const [first = '', ...rest] = harmless(message).split('\n');
  process.stderr.write(`${styleText('red', 'keywarden: error:', { stream: process.stderr })} ${first}\n`);
  for (const line of rest) process.stderr.write(`  ${line}\n`);
  for (const hint of hints) {
    process.stderr.write(`${styleText('cyan', 'keywarden: hint:', { stream: process.stderr })} ${harmless(hint)}\n`);
  }
}

export type Colour = 'green' | 'red' | 'yellow' | 'dim' | 'bold' | 'cyan';

export function coloured(colour: Colour, text: string): string {
  return styleText(colour, text, { stream: process.stdout });
}

/** JSON for people: two spaces. */
export function printJson(value: unknown): void {
  print(jsonText(value, 2));
}

/** JSON of one value, harmless for a terminal. */
export function jsonText(value: unknown, indent = 0): string {
  return harmlessJson(JSON.stringify(value, null, indent));
}

/** JSON escapes little above U+007F, so what could trick a terminal is escaped here; it stays the same JSON. */
export function harmlessJson(json: string): string {
  return json.replace(HARMFUL, (text) => [...text].map(unicodeEscape).join(''));
}

function unicodeEscape(character: string): string {
  let out = '';
  for (let i = 0; i < character.length; i += 1) out += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return out;
}

let outlives = false;

/** From now on a reader of our output that goes away does not end us: there is more to do than to print. */
export function outliveReaders(): void {
  outlives = true;
}

let until = Number.POSITIVE_INFINITY;

/** What is not taken within this time is given up. */
export function waitForReaders(ms: number): void {
  until = performance.now() + ms;
}

/** Ms that a reader has to take what was said. */
export const patienceLeft = (): number => Math.max(0, until - performance.now());

export const outlivesReaders = (): boolean => outlives;
