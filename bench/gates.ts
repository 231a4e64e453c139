import type { ContenderName } from './contenders.ts';
import { pairedMedian, type Sample } from './measure.ts';
import type { Variant } from './scaling.ts';

export interface Gate {
  readonly text: string;
  /** What was found, with its spread over the rounds; null when this run did not measure it. */
  readonly found: string | null;
  readonly passed: boolean | null;
}

export type Samples = Partial<Record<ContenderName, readonly Sample[]>>;

const MAX_GZIP_BYTES = 300 * 1024;

/** What must hold. All speeds are ratios or differences within one round of one run, then the median of the rounds. */
export function gatesOf(samples: Samples, variants: readonly Variant[] | null, gzipBytes: number | null): Gate[] {
  return [
    throughput(samples),
    addedLatency(samples),
    ...scaling('fewOperations', '10 → 1,000 operations', variants),
    ...scaling('manyRows', `10 → ${rowsText(variants)} stored audit rows`, variants),
    {
      text: 'Worker bundle < 300 KiB gzip',
      found: gzipBytes === null ? null : `${(gzipBytes / 1024).toFixed(1)} KiB`,
      passed: gzipBytes === null ? null : gzipBytes < MAX_GZIP_BYTES,
    },
  ];
}

const rowsText = (variants: readonly Variant[] | null): string =>
  (variants?.find((v) => v.name === 'manyRows')?.rows ?? 100_000).toLocaleString('en-US');

function throughput({ keywarden, object }: Samples): Gate {
  const text = 'at 16 connections, requests/s ≥ 0.8 × bare Worker with one empty object call';
  if (keywarden === undefined || object === undefined) return unmeasured(text);
  const { median, least, most } = pairedMedian(keywarden, object, 16, 'requestsPerSecond', (a, b) => a / b);
  return { text, found: `${median.toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`, passed: median >= 0.8 };
}

function addedLatency({ keywarden, bare }: Samples): Gate {
  const text = "at 1 connection, ≤ 1.0 ms added to the bare Worker's p50";
  if (keywarden === undefined || bare === undefined) return unmeasured(text);
  const { median, least, most } = pairedMedian(keywarden, bare, 1, 'p50Ms', (a, b) => a - b);
  return { text, found: `${median.toFixed(2)} ms (${least.toFixed(2)}–${most.toFixed(2)})`, passed: median <= 1 };
}

function scaling(name: 'fewOperations' | 'manyRows', text: string, variants: readonly Variant[] | null): Gate[] {
  const base = variants?.find((v) => v.name === 'base');
  const other = variants?.find((v) => v.name === name);
  const p50 = `${text}: p50 at 1 changes by ≤ 10 %`;
  const rate = `${text}: requests/s at 16 change by ≤ 10 %`;
  if (base === undefined || other === undefined) return [unmeasured(p50), unmeasured(rate)];
  // `base` is 1,000 operations and 10 rows: it is the larger of the first pair, the smaller of the second.
  const [large, small] = name === 'fewOperations' ? [base, other] : [other, base];
  return [change(p50, large, small, 1, 'p50Ms'), change(rate, large, small, 16, 'requestsPerSecond')];
}

function change(
  text: string,
  large: Variant,
  small: Variant,
  connections: number,
  quantity: 'p50Ms' | 'requestsPerSecond',
): Gate {
  const { median, least, most } = pairedMedian(
    large.samples,
    small.samples,
    connections,
    quantity,
    (a, b) => (a / b - 1) * 100,
  );
  const sign = (n: number): string => `${n >= 0 ? '+' : '−'}${Math.abs(n).toFixed(1)} %`;
  return { text, found: `${sign(median)} (${sign(least)} … ${sign(most)})`, passed: Math.abs(median) <= 10 };
}

const unmeasured = (text: string): Gate => ({ text, found: null, passed: null });
