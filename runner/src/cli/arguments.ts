import { InvalidArgumentError, Option } from 'commander';
import * as z from 'zod/mini';

/** Parsers of option values; a bad one is a usage error that names the option. */

export const stateOption = (): Option =>
  new Option('--state <dir>', 'the state directory of the edge (default: the nearest .keywarden/ upwards)');

/** Of what is listed by pages. */
export const cursorOption = (): Option =>
  new Option('--cursor <cursor>', 'the next page: the next_cursor of the one before, with the same options');

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `15m`, `1h`, `1d`, or a bare number of seconds, as the help says. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})([smhd])?$/.exec(text);
  const seconds = match === null ? 0 : Number(match[1]) * (UNITS[match[2] ?? 's'] ?? 0);
  if (seconds < 1) throw new InvalidArgumentError('Write a time as 90s, 15m or 1h.');
  return seconds;
}

const WRITE_INSTANT = 'Write how long ago (90s, 15m, 1h, 7d), a day (2026-01-31) or an instant (2026-01-31T12:00:00Z).';
const Instant = z.union([z.iso.date(), z.iso.datetime({ offset: true })]);
/** Copied from an edge whose clock is a little ahead. */
const FUTURE_MS = 60_000;

/** An instant that has been, as RFC 3339 in UTC: `1h` (ago), a day in UTC, or a date and time that says its zone. */
export function parseInstant(text: string): string {
  const ago = /^\d+[smhd]?$/.test(text);
  if (!ago && !Instant.safeParse(text).success) throw new InvalidArgumentError(WRITE_INSTANT);
  const at = ago ? Date.now() - parseDuration(text) * 1000 : Date.parse(text);
  if (at > Date.now() + FUTURE_MS)
    throw new InvalidArgumentError('It lies in the future, and nothing is recorded yet.');
  return new Date(Math.max(0, at)).toISOString();
}

/** As a call's answer names it: the bare id, or the `urn:uuid:` of a Problem's `instance` (RFC 9457). */
export function parseRequestId(text: string): string {
  const id = text.replace(/^urn:uuid:/i, '').toLowerCase();
  if (!z.uuid().safeParse(id).success)
    throw new InvalidArgumentError('A request id is a UUID: 3ff62d8e-5f4c-4f0f-8a44-7a1bd5a4f6a1.');
  return id;
}

/** A value of one of the protocol's own shapes, which says itself what it must look like. */
export const parseAs =
  (shape: z.ZodMiniType<string>): ((text: string) => string) =>
  (text) => {
    const parsed = shape.safeParse(text);
    if (parsed.success) return parsed.data;
    const words = parsed.error.issues.map((issue) => issue.message).join('; ');
    throw new InvalidArgumentError(`${words.charAt(0).toUpperCase()}${words.slice(1)}.`);
  };

export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}

/** A number of rows: of one page, as the edge has it. */
export const countUpTo =
  (most: number): ((text: string) => number) =>
  (text) => {
    const count = Number(text);
    if (!/^\d{1,4}$/.test(text) || count < 1 || count > most)
      throw new InvalidArgumentError(`Write a number from 1 to ${most}.`);
    return count;
  };

/** Collects `--can a,b --can c` into one list without repetitions. */
export function collectNames(text: string, before: readonly string[] = []): string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0) throw new InvalidArgumentError('It names nothing.');
  return [...new Set([...before, ...names])];
}

/** A header field: its name in lower case, and its value. */
export type HeaderField = readonly [name: string, value: string];

/** Collects `--header 'name: value'`, as curl has it. */
export function collectFields(text: string, before: readonly HeaderField[] = []): HeaderField[] {
  const match = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\t\x20-\x7e]*)$/.exec(text);
  if (match === null) throw new InvalidArgumentError("Write a header field as 'name: value'.");
  return [...before, [(match[1] as string).toLowerCase(), (match[2] as string).trimEnd()]];
}
