import type { RateSpec } from './ruled.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  sec: 1000,
  second: 1000,
  min: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
};

export const RATE_PATTERN = /^([1-9][0-9]{0,6})\/(s|sec|second|min|minute|h|hour|d|day)$/;

/** `60/min` as calls per period; the burst is the whole count unless said otherwise. Null when it is no rate. */
export function rateOf(text: string, burst: number | null = null): RateSpec | null {
  const match = RATE_PATTERN.exec(text);
  if (match === null) return null;
  const count = Number(match[1]);
  return { count, periodMs: UNIT_MS[match[2] as string] as number, burst: burst ?? count };
}

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
export const DURATION_PATTERN = /^([1-9][0-9]{0,6})(ms|s|m|min|h|d)$/;

/** `500ms`, `30s`, `15m`, `1h` in milliseconds; null when it is no duration. */
export function millisecondsOf(text: string): number | null {
  const match = DURATION_PATTERN.exec(text);
  return match === null ? null : Number(match[1]) * (DURATION_MS[match[2] as string] as number);
}

const SIZE_BYTES: Readonly<Record<string, number>> = { B: 1, KB: 1000, MB: 1_000_000, KiB: 1024, MiB: 1_048_576 };
const SIZE_PATTERN = /^([1-9][0-9]{0,8}) ?(B|KB|MB|KiB|MiB)$/;

/** `1MiB`, `64KiB`, `500KB` or a number of bytes; null when it is no size. */
export function bytesOf(size: string | number): number | null {
  if (typeof size === 'number') return Number.isSafeInteger(size) && size > 0 ? size : null;
  const match = SIZE_PATTERN.exec(size);
  return match === null ? null : Number(match[1]) * (SIZE_BYTES[match[2] as string] as number);
}
