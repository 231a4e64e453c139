import type { BodyValue } from '../access.ts';
import { withoutJwts } from '../lib/jwts-in-text.ts';
import type { ShownValue } from './contract.ts';

/** Takes known credentials out of a text. */
export type Mask = (text: string) => string;

const MAX_DEPTH = 8;
const MAX_NODES = 300;
const MAX_ITEMS = 60;
const MAX_TEXT = 400;
const MAX_NAME = 100;

/** By property: control, format (bidi, zero-width, tags), separators other than space, halves of pairs, private, unassigned. */
const DECEIVING =
  /(?! )(?:[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\p{Cs}\p{Co}\p{Cn}\u115f\u1160\u3164\uffa0]|\u034f|[\ufe00-\ufe0f])/gu;

/** What would move, hide or reorder text for an eye becomes `\u{…}`; an own `\u{` gets another backslash. */
export const visible = (text: string): string =>
  text.replaceAll('\\u{', '\\\\u{').replace(DECEIVING, (found) => `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`);

/** Names whose values are nobody's business. */
const SECRET_NAME =
  /(^|[^a-z])(password|passwd|passphrase|secret|api[-_]?key|apikey|access[-_]?key|private[-_]?key|client[-_]?secret|auth[-_]?token|access[-_]?token|refresh[-_]?token|id[-_]?token|authorization|credentials?|token)($|[^a-z])/i;

/** What looks like a secret wherever it stands. */
const SECRET_TEXT = new RegExp(
  [
    '(?:sk|rk|pk|whsec)[-_](?:live|test|proj|ant|or|svcacct)?[-_]?[A-Za-z0-9_-]{16,}', // Stripe, OpenAI, Anthropic
    'gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}',
    'xox[a-z]-[A-Za-z0-9-]{10,}',
    '(?:AKIA|ASIA)[A-Z0-9]{16}',
    'AIza[A-Za-z0-9_-]{30,}|ya29\\.[A-Za-z0-9_-]{20,}',
    'SG\\.[A-Za-z0-9_-]{16,}\\.[A-Za-z0-9_-]{16,}|npm_[A-Za-z0-9]{30,}|hf_[A-Za-z0-9]{30,}',
    '-----BEGIN [A-Z ]*PRIVATE KEY-----[\\s\\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)',
  ].join('|'),
  'g',
);

/** Without known credentials, tokens, and what looks like a secret. */
const masked = (text: string, mask: Mask): string =>
  withoutJwts(mask(text), '[masked]', { payload: 8, signature: 8 }).replace(SECRET_TEXT, '[masked]');

/**
 * Text for an eye: known credentials and what looks like a secret taken out, deceiving characters visible, cut. A cut is told
 * in the text itself: what nobody sees is nothing that somebody agreed to.
 */
export function shownText(text: string, mask: Mask, max = MAX_TEXT): string {
  const seen = visible(masked(text, mask));
  const cut = cutAt(seen, max);
  if (cut === seen) return seen;
  const more = [...seen.slice(cut.length)].length;
  return `${cut}… [${more} more ${more === 1 ? 'character' : 'characters'} not shown]`;
}

/** Never between the halves of a pair, nor inside of an escape that we made. */
function cutAt(text: string, max: number): string {
  if (text.length <= max) return text;
  const cut = text.slice(0, max);
  return cut.replace(/[\ud800-\udbff]$/, '').replace(/\\(?:u(?:\{[0-9a-f]{0,6})?)?$/, '');
}

/** A string as a node; its length stands beside it whenever something of it is not shown. */
function shownString(text: string, name: string | null, mask: Mask): ShownValue {
  const length = [...text].length;
  if (name !== null && SECRET_NAME.test(name) && text !== '')
    return { kind: 'string', text: '[masked]', length, masked: true };
  const rest = masked(text, mask);
  const seen = visible(rest);
  const cut = cutAt(seen, MAX_TEXT);
  return {
    kind: 'string',
    text: cut,
    ...(cut !== seen || rest !== text ? { length } : {}),
    ...(rest !== text ? { masked: true as const } : {}),
  };
}

/** A parsed body as a tree, bounded in depth, breadth and size as a whole. */
export function shownTree(value: BodyValue, mask: Mask): ShownValue {
  let left = MAX_NODES;
  const walk = (node: BodyValue, name: string | null, depth: number): ShownValue => {
    left -= 1;
    if (left < 0 || depth > MAX_DEPTH) return { kind: 'cut' };
    if (node === null) return { kind: 'null' };
    if (typeof node === 'boolean') return { kind: 'boolean', value: node };
    if (typeof node === 'number') {
      const exact = !Number.isInteger(node) || Number.isSafeInteger(node);
      return { kind: 'number', text: String(node), ...(exact ? {} : { inexact: true as const }) };
    }
    if (typeof node === 'string') return shownString(node, name, mask);
    if (Array.isArray(node)) {
      const items = node.slice(0, MAX_ITEMS).map((item) => walk(item, name, depth + 1));
      return { kind: 'list', items, more: node.length - items.length };
    }
    const all = Object.entries(node);
    const entries = all.slice(0, MAX_ITEMS).map(([key, item]) => ({
      name: shownText(key, mask, MAX_NAME),
      value: walk(item, key, depth + 1),
    }));
    return { kind: 'object', entries, more: all.length - entries.length };
  };
  return walk(value, null, 0);
}

/** A body that is no JSON and no form: its beginning, when it is text. */
export function shownPlain(bytes: Uint8Array, mask: Mask): ShownValue | null {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
  const seen = shownText(text, mask, 2000);
  return { kind: 'string', text: seen, length: [...text].length };
}

/** A query with the values of telling names masked. */
export function shownQuery(query: string, mask: Mask): string {
  const pairs = query.split('&').map((pair) => {
    const at = pair.indexOf('=');
    return at > 0 && SECRET_NAME.test(pair.slice(0, at)) ? `${pair.slice(0, at)}=[masked]` : pair;
  });
  return shownText(pairs.join('&'), mask, 2000);
}

/** A header field's value, masked by name as well. */
export const shownHeader = (name: string, value: string, mask: Mask): string =>
  SECRET_NAME.test(name) ? '[masked]' : shownText(value, mask, 200);
