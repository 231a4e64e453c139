import type { BodyValue } from '../access.ts';
import type { BodyRefusal } from '../denial.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { caseless } from './caseless.ts';

/** Deepest nesting of arrays and objects that a body may have. */
const MAX_JSON_DEPTH = 64;

/**
 * Reads RFC 8259 JSON whose reading no two parsers can disagree about: keys are unique, whatever their case.
 *
 * The grammar is the engine's own `JSON.parse`; what it does not tell (keys given twice, depth) one scan over the then
 * valid text finds. No kept library does this small: secure-json-parse and bourne let duplicate keys pass,
 * lossless-json takes equal duplicates and sets `__proto__`, momoa recurses without a bound.
 *
 * @param text  The decoded body.
 * @returns     The value, its objects without prototype; or why not.
 */
export function parseStrictJson(text: string): Result<BodyValue, BodyRefusal> {
  const refusal = scanRefusal(text);
  if (refusal !== null) return err(refusal);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return err('malformed');
  }
  try {
    return ok(withoutPrototypes(value));
  } catch (error) {
    if (error instanceof Refused) return err(error.why);
    throw error;
  }
}

/**
 * Walks the tokens that matter: brackets, and strings in the place of a key. On text that is no JSON its answer may be
 * null, and `JSON.parse` then says so.
 */
function scanRefusal(text: string): BodyRefusal | null {
  const open: (Set<string> | null)[] = []; // an object's keys so far, or null for an array
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '{' || char === '[') {
      if (open.push(char === '{' ? new Set() : null) > MAX_JSON_DEPTH) return 'too_deep';
    } else if (char === '}' || char === ']') {
      open.pop();
    } else if (char === '"') {
      const end = endOfString(text, i);
      const keys = open.at(-1);
      if (keys != null && isKey(text, end)) {
        const key = keyOf(text.slice(i, end));
        if (key === null) return 'malformed';
        if (keys.has(caseless(key))) return 'duplicate_key';
        keys.add(caseless(key));
      }
      i = end - 1;
    }
  }
  return null;
}

/** Index after the closing quote, or the text's end. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

function isKey(text: string, from: number): boolean {
  let i = from;
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++;
  return text[i] === ':';
}

function keyOf(literal: string): string | null {
  try {
    return String(JSON.parse(literal));
  } catch {
    return null;
  }
}

class Refused {
  readonly why: BodyRefusal;
  constructor(why: BodyRefusal) {
    this.why = why;
  }
}

function withoutPrototypes(value: unknown): BodyValue {
  // Beyond the range of a double.
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Refused('number_not_finite');
  // Half a surrogate pair, which only an escape can make: Go reads U+FFFD, and others refuse it.
  if (typeof value === 'string' && !value.isWellFormed()) throw new Refused('not_utf8');
  if (Array.isArray(value)) return value.map(withoutPrototypes);
  if (typeof value !== 'object' || value === null) return value as BodyValue;
  const out = Object.create(null) as { [key: string]: BodyValue };
  for (const key of Object.keys(value)) {
    if (!key.isWellFormed()) throw new Refused('not_utf8');
    // There ends a name to who reads it in C.
    if (key.includes('\0')) throw new Refused('control_character');
    out[key] = withoutPrototypes((value as Record<string, unknown>)[key]);
  }
  return out;
}
