import { CANONICAL_COLUMNS } from './chain.ts';
import type { AuditRow } from './event.ts';

/**
 * One line of an export, and how it is read back. Pure.
 *
 * The chain covers what a row says and not how its line is written. So that every reader finds in a line what was
 * verified, be it another parser or a person with `grep`, there is one way to write each row, and no other is accepted.
 */

const COLUMNS: readonly (keyof AuditRow)[] = [...CANONICAL_COLUMNS, 'prevHash', 'hash'];

/** A row as JSON: each column once, in fixed order, without white space. */
export const exportLineOf = (row: AuditRow): string => JSON.stringify(row, COLUMNS as string[]);

/** The last line: the signed checkpoint. */
export const checkpointLineOf = (jws: string): string => JSON.stringify({ type: 'checkpoint', jws });

/** What stands in a line, as far as it can be told, and everything that is wrong with the line itself. */
export interface ExportLine {
  readonly row: AuditRow | null;
  /** The checkpoint, a compact JWS whose signature is not checked yet. */
  readonly jws: string | null;
  readonly problems: readonly string[];
}

const NOTHING = { row: null, jws: null } as const;

/** @param line Without its end. */
export function readExportLine(line: string): ExportLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    // The engine counts lines, too: within this one.
    const why = (error as Error).message.replace(/ \(line \d+ column \d+\)$/, '');
    return { ...NOTHING, problems: [`is no JSON: ${why}`] };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { ...NOTHING, problems: ['is no JSON object'] };
  const members = value as Record<string, unknown>;
  return members['type'] === 'checkpoint' ? readCheckpointLine(line, members) : readRowLine(line, members);
}

function readRowLine(line: string, members: Record<string, unknown>): ExportLine {
  const lacking = COLUMNS.filter((name) => !Object.hasOwn(members, name));
  const wrong = COLUMNS.filter((name) => !lacking.includes(name) && !SHAPES[name].fits(members[name])).map(
    (name) => `"${name}" must be ${SHAPES[name].words}, and is ${shown(members[name])}`,
  );
  const unreadable = [...(lacking.length === 0 ? [] : [`lacks ${list(lacking)}`]), ...wrong];
  // A row that only says too much, or says it oddly, still takes its place in the chain.
  const row = unreadable.length === 0 ? (members as unknown as AuditRow) : null;
  const spelling = row === null ? surplusOf(line, COLUMNS) : spellingOf(line, exportLineOf(row), COLUMNS);
  return { row, jws: null, problems: [...spelling, ...unreadable] };
}

function readCheckpointLine(line: string, members: Record<string, unknown>): ExportLine {
  const { jws } = members;
  if (typeof jws !== 'string') return { ...NOTHING, problems: ['is a checkpoint without a signature ("jws")'] };
  return { row: null, jws, problems: spellingOf(line, checkpointLineOf(jws), ['type', 'jws']) };
}

interface Shape {
  readonly words: string;
  readonly fits: (value: unknown) => boolean;
}

const hex: Shape = {
  words: '64 hexadecimal digits',
  fits: (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value),
};
const whole = (from: number): Shape => ({
  words: `a whole number from ${from} on`,
  fits: (value) => Number.isSafeInteger(value) && (value as number) >= from,
});
const text: Shape = { words: 'a text', fits: (value) => typeof value === 'string' };
const number: Shape = { words: 'a number', fits: Number.isFinite };
const orNull = ({ words, fits }: Shape): Shape => ({
  words: `${words} or null`,
  fits: (value) => value === null || fits(value),
});

const SHAPES: Readonly<Record<keyof AuditRow, Shape>> = {
  ledger: hex,
  seq: whole(1),
  at: whole(0),
  event: text,
  requestId: text,
  agent: orNull(text),
  session: orNull(text),
  tokenId: orNull(text),
  capability: orNull(text),
  service: orNull(text),
  method: orNull(text),
  path: orNull(text),
  queryNames: orNull(text),
  decision: orNull(text),
  reason: orNull(text),
  status: orNull(number),
  requestBytes: orNull(number),
  responseBytes: orNull(number),
  durationMs: orNull(number),
  redactions: orNull(number),
  requestHash: orNull(text),
  policyHash: orNull(text),
  operator: orNull(text),
  detail: text,
  prevHash: hex,
  hash: hex,
};

/** In what a line differs from how the edge writes the same; nothing when it does not. */
function spellingOf(line: string, written: string, known: readonly string[]): string[] {
  if (line === written) return [];
  const surplus = surplusOf(line, known);
  if (surplus.length > 0) return surplus;
  let at = 0;
  while (line[at] === written[at]) at += 1;
  return [
    `is written otherwise than by the edge: at character ${at + 1} stands ${cutOf(line, at)}, not ${cutOf(written, at)}`,
  ];
}

/** Members that nothing covers, and those that one parser would read so and another otherwise. */
function surplusOf(line: string, known: readonly string[]): string[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const name of memberNames(line)) (seen.has(name) ? twice : seen).add(name);
  const unknown = [...seen].filter((name) => !known.includes(name));
  return [
    ...(unknown.length === 0 ? [] : [`has more than the edge writes: ${list(unknown)}`]),
    ...(twice.size === 0 ? [] : [`names ${list([...twice])} more than once: readers would disagree about the value`]),
  ];
}

/** The names of the outermost members, as often as they stand there. `json` must be an object, by `JSON.parse`. */
function memberNames(json: string): string[] {
  const names: string[] = [];
  let depth = 0;
  for (let at = 0; at < json.length; at += 1) {
    const character = json[at] as string;
    if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') depth -= 1;
    else if (character === '"') {
      const end = endOfString(json, at);
      if (depth === 1 && json[afterSpace(json, end)] === ':') names.push(JSON.parse(json.slice(at, end)) as string);
      at = end - 1;
    }
  }
  return names;
}

function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at + 1;
}

function afterSpace(json: string, start: number): number {
  let at = start;
  while (' \t\r\n'.includes(json[at] ?? '|')) at += 1;
  return at;
}

const MAX_NAMES = 5;
const MAX_SHOWN = 32;

function list(names: readonly string[]): string {
  const more = names.length - MAX_NAMES;
  const told = names.slice(0, MAX_NAMES).map((name) => JSON.stringify(name.slice(0, MAX_SHOWN)));
  return more > 0 ? `${told.join(', ')} and ${more} more` : told.join(', ');
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' ? JSON.stringify(value.slice(0, MAX_SHOWN)) : String(value);
}

const cutOf = (line: string, at: number): string => (at < line.length ? `\`${line.slice(at, at + 16)}\`` : 'nothing');
