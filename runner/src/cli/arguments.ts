import { InvalidArgumentError, Option } from 'commander';

/** Parsers of option values; a bad one is a usage error that names the option. */

export const stateOption = (): Option =>
  new Option('--state <dir>', 'the state directory of the edge (default: the nearest .keywarden/ upwards)');

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `15m`, `1h`, `1d`, or a bare number of seconds, as the help says. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})([smhd])?$/.exec(text);
  const seconds = match === null ? 0 : Number(match[1]) * (UNITS[match[2] ?? 's'] ?? 0);
  if (seconds < 1) throw new InvalidArgumentError('Write a time as 90s, 15m or 1h.');
  return seconds;
}

/** An instant as RFC 3339 in UTC: `1h` (ago) or a date that says its zone. */
export function parseInstant(text: string): string {
  if (/^\d+[smhd]?$/.test(text)) return new Date(Date.now() - parseDuration(text) * 1000).toISOString();
  const at = /(Z|[+-]\d\d:\d\d)$/.test(text) || /^\d{4}-\d\d-\d\d$/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (Number.isNaN(at.getTime())) throw new InvalidArgumentError('Write 1h (that long ago) or 2026-01-31T12:00:00Z.');
  return at.toISOString();
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d{1,4}$/.test(text) || count < 1 || count > 1000)
    throw new InvalidArgumentError('Write a number from 1 to 1000.');
  return count;
}

/** Collects `--can a,b --can c` into one list without repetitions. */
export function collectNames(text: string, before: readonly string[] = []): string[] {
  return [
    ...new Set([
      ...before,
      ...text
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== ''),
    ]),
  ];
}
