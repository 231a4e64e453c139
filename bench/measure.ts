import { cpuSecondsOf, untilIdle } from './cpu.ts';
import { BODY_BYTES, load, type Target } from './load.ts';

/** One contender, one round, one number of connections. */
export interface Sample {
  readonly round: number;
  readonly connections: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU microseconds a request, work put off included; null when the contender has no process of its own. */
  readonly cpuMicros: number | null;
}

export interface Measured {
  readonly target: Target;
  readonly pids: readonly number[];
}

/** Calls once and looks at the answer whole: a contender that answers quickly but wrongly must not be measured. */
export async function checkAnswer(name: string, { url, headers }: Target): Promise<void> {
  const response = await fetch(url, { headers, redirect: 'manual' });
  const body = await response.text();
  if (response.status !== 200 || body.length !== BODY_BYTES || !body.startsWith('{"object":"charge"')) {
    throw new Error(`${name} answers ${response.status} with ${body.length} bytes: ${body.slice(0, 300)}`);
  }
}

export async function measure(
  { target, pids }: Measured,
  round: number,
  connections: number,
  seconds: number,
): Promise<Sample> {
  const before = cpuSecondsOf(pids);
  const seen = await load(target, connections, seconds);
  await untilIdle(pids);
  const cpu = cpuSecondsOf(pids) - before;
  return {
    round,
    connections,
    requestsPerSecond: seen.requests / seen.seconds,
    p50Ms: seen.p50 / 1000,
    p99Ms: seen.p99 / 1000,
    cpuMicros: pids.length === 0 ? null : (cpu * 1e6) / seen.requests,
  };
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

type Quantity = 'requestsPerSecond' | 'p50Ms' | 'p99Ms' | 'cpuMicros';

export function medianAt(samples: readonly Sample[], connections: number, quantity: Quantity): number | null {
  const values = samples.filter((s) => s.connections === connections).map((s) => s[quantity]);
  return values.length === 0 || values.includes(null) ? null : medianOf(values as number[]);
}

/** Both contenders ran within the same minute of the same round: the machine's mood cancels out. Then the median of the rounds. */
export function pairedMedian(
  a: readonly Sample[],
  b: readonly Sample[],
  connections: number,
  quantity: Quantity,
  combine: (a: number, b: number) => number,
): { median: number; least: number; most: number } {
  const values = a
    .filter((s) => s.connections === connections)
    .map((s) =>
      combine(
        s[quantity] ?? Number.NaN,
        b.find((t) => t.round === s.round && t.connections === connections)?.[quantity] ?? Number.NaN,
      ),
    );
  return { median: medianOf(values), least: Math.min(...values), most: Math.max(...values) };
}
