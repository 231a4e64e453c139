import type { YAMLError } from 'yaml';
import { firstOfLine, keyAt, lineFrom, openBracketAt, quotedEndingAt, ruleAt } from './yaml-text.ts';

/** One mistake in a file's YAML, in the words of who writes policies. `offset` counts UTF-16 units. */
export interface Slip {
  readonly offset: number;
  readonly message: string;
  readonly fix: string;
}

/** What spoils one value and leaves the rest of the file readable. */
const LOCAL: ReadonlySet<string> = new Set([
  'BAD_ALIAS',
  'BAD_DQ_ESCAPE',
  'BAD_SCALAR_START',
  'DUPLICATE_KEY',
  'NON_STRING_KEY',
  'TAG_RESOLVE_FAILED',
]);

/**
 * The mistakes behind a parser's errors. One mistake makes many errors, since after it the parser takes the rest of the
 * line, or of the file, for something else: so one a line is told, and none after the first that broke the structure.
 */
export function slipsOf(errors: readonly YAMLError[], text: string): Slip[] {
  // A tab moves what follows into places where it was not meant to be, and those may be complained about before.
  const tab = errors.find(({ code }) => code === 'TAB_AS_INDENT');
  if (tab !== undefined) return [slipOf(tab, text)];
  const slips: Slip[] = [];
  let line: number | null = null;
  for (const error of [...errors].sort((a, b) => a.pos[0] - b.pos[0])) {
    const lineOfError = text.lastIndexOf('\n', error.pos[0] - 1);
    if (lineOfError === line) continue;
    line = lineOfError;
    slips.push(slipOf(error, text));
    if (!LOCAL.has(error.code)) break;
  }
  return slips;
}

const QUOTE_ALL = 'put the whole value in quotes';
const ALIGN = 'begin fields of one mapping, and items of one list, in the same column';

function slipOf(error: YAMLError, text: string): Slip {
  const at = error.pos[0];
  const slip = (message: string, fix: string, offset = at): Slip => ({ offset, message, fix });
  const char = text[at] ?? '';
  switch (error.code) {
    case 'DUPLICATE_KEY':
      return slip(`the field ${keyAt(text, at)} stands here a second time`, 'keep one of the two');
    case 'MULTIPLE_DOCS':
      return slip('the file holds more than one document', 'one service a file: remove the line ---');
    case 'TAB_AS_INDENT':
      return slip('a tab indents this line', 'indent with spaces: YAML takes no tabs there');
    case 'NON_STRING_KEY':
      return slip('a key is no string', 'put it in quotes');
    case 'BAD_ALIAS':
      return aliasSlip(text, at);
    case 'TAG_RESOLVE_FAILED':
      return slip(
        'a value that begins with ! is a tag in YAML',
        "put the whole value in single quotes, as in when: '!has(body.x)'",
      );
    case 'BAD_SCALAR_START':
      return slip(`a value cannot begin with ${char} in YAML`, 'put it in quotes');
    case 'BAD_DQ_ESCAPE':
      return slip('no such escape within double quotes', 'put the text in single quotes, or double the backslash');
    case 'BLOCK_AS_IMPLICIT_KEY':
      return text[at] === ' ' ? misaligned(text, at) : secondColon(text, at);
    case 'MULTILINE_IMPLICIT_KEY':
      return missingColon(text, at);
  }
  // What the parser quotes of the file stands after the colon, and is left out.
  const words = error.message.replace(/: .*$/s, '');
  return brokenStructure(error, text) ?? slip(`not YAML: ${words}`, `correct the syntax; ${QUOTE_ALL} if in doubt`);
}

/** A `*` that was meant as itself: the method of a rule, or everything. */
export function aliasSlip(text: string, at: number): Slip {
  const fix = quoteFix(text, at, 'put it in quotes: "*"');
  return { offset: at, message: 'a value that begins with * is an alias in YAML', fix };
}

/** Errors that the parser tells apart by their text alone. */
function brokenStructure({ message, pos }: YAMLError, text: string): Slip | null {
  const at = pos[0];
  if (/^Missing closing .quote/.test(message)) {
    const quoted = quotedEndingAt(text, at);
    return { offset: quoted?.offset ?? at, message: 'the quote that opens here is never closed', fix: 'close it' };
  }
  if (/^Flow (map|sequence) .*end with/.test(message)) {
    const open = openBracketAt(text, at);
    const bracket = open === null ? '' : text[open];
    const fix = `close it with ${bracket === '[' ? ']' : '}'}`;
    return { offset: open ?? at, message: `the ${bracket} that opens here is never closed`, fix };
  }
  if (/^All (mapping|sequence) items|^Sequence item without/.test(message)) return misaligned(text, at);
  if (/^Implicit map keys/.test(message)) return missingColon(text, firstOfLine(text, at));
  if (/^Unexpected flow-(seq|map)-end/.test(message))
    return { offset: at, message: `this ${text[at]} closes nothing`, fix: `remove it, or ${QUOTE_ALL}` };
  if (/^Unexpected , in/.test(message))
    return { offset: at, message: 'a comma with nothing before it', fix: 'remove it' };
  if (/^Not a YAML token/.test(message) && /[>|][+-]?[ ]*$/.test(text.slice(0, at)))
    return {
      offset: at,
      message: `the text of a block (${text.slice(0, at).trimEnd().at(-1)}) begins in the next line`,
      fix: `begin it there, indented deeper, or ${QUOTE_ALL}`,
    };
  return /at node end$|^Missing , or/.test(message) ? goingOn(text, at) : null;
}

/** A colon that ends a field's name where a text was meant, or a field that is indented as if it were part of a text. */
function secondColon(text: string, at: number): Slip {
  const away = text.slice(at).search(/:(?=\s|$)/);
  if (away === -1) return misaligned(text, at);
  const colon = at + away;
  const line = text.slice(text.lastIndexOf('\n', colon) + 1, colon).trim();
  if (colon > at + lineFrom(text, at).length && /^[\w-]+$/.test(line)) return misaligned(text, colon);
  return {
    offset: colon,
    message: "a ': ' in a text without quotes ends a field's name",
    fix: quoteFix(text, at, QUOTE_ALL),
  };
}

function missingColon(text: string, at: number): Slip {
  const above = text.slice(0, at).trimEnd();
  const block = /: *(&\w+ *)?([>|])[+-]?$/.exec(above);
  return block === null
    ? { offset: at, message: "a ':' is missing after a field's name", fix: "write 'name: value'" }
    : {
        offset: at,
        message: `the text of a block (${block[2]}) is not indented`,
        fix: 'indent it deeper than its field',
      };
}

function misaligned(text: string, at: number): Slip {
  const offset = firstOfLine(text, at);
  return /^-[^\s-]/.test(text.slice(offset))
    ? { offset, message: "a space is missing after the '-'", fix: "write '- ' before each item" }
    : { offset, message: 'this line is indented otherwise than its neighbours', fix: ALIGN };
}

/** Text that goes on where YAML has ended the value already. */
function goingOn(text: string, at: number): Slip {
  const before = text.slice(0, at).trimEnd();
  const last = before.at(-1) ?? '';
  const quoted = /["']/.test(last) ? quotedEndingAt(text, before.length) : null;
  if (quoted?.source.includes('\n')) {
    const closes = text.slice(0, before.length).split('\n').length;
    return {
      offset: quoted.offset,
      message: `the quote that opens here closes only in line ${closes}, and more text follows there`,
      fix: 'close it where its text ends',
    };
  }
  if (quoted !== null) {
    return {
      offset: at,
      message: 'more text follows after the closing quote',
      fix:
        last === '"'
          ? `put the whole value in single quotes, as in when: '"a" in query'`
          : `put the whole value in double quotes, as in when: "'a' in query"`,
    };
  }
  const word = /\S*$/.exec(before)?.[0] ?? '';
  if (word.startsWith('*')) return aliasSlip(text, before.length - word.length);
  const char = text[at] ?? '';
  if (/^,\s*(#|$)/.test(lineFrom(text, at))) {
    return { offset: at, message: 'a comma after the value', fix: 'remove it' };
  }
  if (/[[\]{}]/.test(char)) {
    return {
      offset: at,
      message: `within [ ] and { }, ${char} ends a text without quotes`,
      fix: quoteFix(text, at, QUOTE_ALL),
    };
  }
  return {
    offset: at,
    message: /[\]}]/.test(last) ? `more text follows after the closing ${last}` : 'more text follows after the value',
    fix: quoteFix(text, at, QUOTE_ALL),
  };
}

const quoteFix = (text: string, at: number, otherwise: string): string => {
  const rule = ruleAt(text, at);
  return rule === null ? otherwise : `put the rule in quotes: "${rule}"`;
};
