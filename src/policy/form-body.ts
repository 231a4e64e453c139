import type { BodyRefusal } from '../denial.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { caseless } from './caseless.ts';

/** Most fields of a form: by default PHP and Express overlook those after the thousandth. */
const MAX_FORM_FIELDS = 1000;

/**
 * Longest name, and most parts of one in brackets: PHP, Rack and Express have such bounds, too. Every beginning of a name is kept
 * as a name that may not come again, and of a long line of brackets there are so many that they would fill the memory.
 */
const MAX_NAME_LENGTH = 1024;
const MAX_NAME_PARTS = 16;

/**
 * A name, and parts in whole brackets after it. PHP drops spaces before a name, and to Rack `limit]` and `[limit` are
 * `limit`, by which no rule knows them; `a[b` is PHP's `a_b`, after `a[b]` some read no further and some on, and Rack makes
 * one `[]` of two. What begins like a JSON object is one to a server that looks at the text, or for "json" in the label.
 */
const NAME = /^(?![\s{]|.*\[\]\[\])(?:[^[\]]+(?:\[[^[\]]*\])*)?$/s;

/** The items of a list, with no names of their own. */
const LIST = /^[^[]*\[\]$/;

/**
 * Reads `application/x-www-form-urlencoded` (WHATWG URL §5.1) where that reading is the only one: names unique to every
 * server, complete escapes, UTF-8, no control characters but CR, LF and tab, and no `;`, which some servers split on.
 *
 * @param text  A body, or a query without its `?`; printable ASCII, as it was sent.
 * @returns     Names and values as strings, in an object without prototype; or the first reason met.
 */
export function parseForm(text: string): Result<{ [key: string]: string }, BodyRefusal> {
  const fields = Object.create(null) as { [key: string]: string };
  if (text === '') return ok(fields);
  if (text.includes(';')) return err('semicolon_separator');
  const names = new Set<string>();
  const wholes = new Set<string>();
  const pairs = text.split('&');
  if (pairs.length > MAX_FORM_FIELDS) return err('too_many_fields');
  for (const pair of pairs) {
    // `a=1&&b=2` and a trailing `&` are read alike by all, but nobody sends them honestly.
    if (pair === '') return err('malformed');
    const cut = pair.indexOf('=');
    const name = decodedFieldOf(cut === -1 ? pair : pair.slice(0, cut));
    if (!name.ok) return name;
    const value = decodedFieldOf(cut === -1 ? '' : pair.slice(cut + 1));
    if (!value.ok) return value;
    if (name.value.length > MAX_NAME_LENGTH) return err('name_too_long');
    if (name.value.split('[').length - 1 > MAX_NAME_PARTS) return err('too_deep');
    if (!NAME.test(name.value)) return err('malformed');
    const read = asReadSomewhere(name.value);
    if (names.has(read) || wholes.has(read)) return err('duplicate_key');
    for (let at = read.indexOf('['); at > 0; at = read.indexOf('[', at + 1)) {
      const whole = read.slice(0, at);
      if (names.has(whole)) return err('duplicate_key');
      if (!LIST.test(name.value)) wholes.add(whole);
    }
    names.add(read);
    fields[name.value] = value.value;
  }
  return ok(fields);
}

/**
 * A name as the loosest server has it: PHP makes `_` of dots and spaces, and of a first `[]` the same as of `[0]`; ASP.NET
 * does not look at the case. After `a`, `a[]` and `a[b]` are the same name again, which wins there. Before it they are lost, and
 * with `filter[owner]` the bound that a rule asked for; a list's items alone bound nothing.
 */
const asReadSomewhere = (name: string): string => caseless(name.replace(/[\s.]/g, '_').replaceAll('[]', '[0]'));

function decodedFieldOf(raw: string): Result<string, BodyRefusal> {
  // A bare space is what `curl -d 'text=two words'` sends, and a space to every reader.
  if (/[^\x20-\x7e]/.test(raw)) return err('malformed');
  let text: string;
  try {
    // Throws on an incomplete escape and on bytes that are no UTF-8, overlong forms included.
    text = decodeURIComponent(raw.replaceAll('+', ' '));
  } catch {
    return err('malformed');
  }
  for (const char of text) {
    const code = char.codePointAt(0) as number;
    if ((code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) || code === 0x7f)
      return err('control_character');
  }
  return ok(text);
}
