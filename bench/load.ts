import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What a contender is called with. */
export interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** One run of the load generator. Latencies in microseconds. */
export interface Load {
  readonly requests: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
}

const script = join(import.meta.dirname, 'wrk.lua');
const run = promisify(execFile);

/** Bytes of the upstream's body; an answer cannot be shorter. */
export const BODY_BYTES = 200;

/**
 * Calls the target from `connections` connections for `seconds`, as fast as it answers (wrk, one thread).
 *
 * @throws when any answer was no 2xx or 3xx, any connection broke, or the answers are too short: that is no result.
 */
export async function load(target: Target, connections: number, seconds: number): Promise<Load> {
  const headers = Object.entries(target.headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '5s', '-s', script, ...headers, target.url];
  const { stdout } = await run('wrk', args);
  const json = /^JSON (.*)$/m.exec(stdout)?.[1];
  if (json === undefined) throw new Error(`wrk said nothing that can be read:\n${stdout}`);
  const seen = JSON.parse(json) as Record<
    'requests' | 'micros' | 'bytes' | 'p50' | 'p99' | 'badStatus' | 'broken',
    number
  >;
  if (seen.badStatus > 0) throw new Error(`${seen.badStatus} of ${seen.requests} answers of ${target.url} were errors`);
  if (seen.broken > 0) throw new Error(`${seen.broken} connections to ${target.url} broke or timed out`);
  if (seen.requests === 0 || seen.bytes / seen.requests < BODY_BYTES)
    throw new Error(`${target.url} gave answers that are too short`);
  return { requests: seen.requests, seconds: seen.micros / 1e6, p50: seen.p50, p99: seen.p99 };
}
