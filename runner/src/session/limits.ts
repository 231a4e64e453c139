import { availableParallelism, totalmem } from 'node:os';
import { usage } from '../failure.ts';
import type { Limits } from '../sandbox/backend.ts';
import { textOf } from '../state/text-of.ts';

interface Asked {
  readonly memoryBytes: number | null;
  readonly cpus: number | null;
  readonly pids: number | null;
}

const GIB = 1024 ** 3;

/** What this process may have at most (proc(5)): setrlimit(2) hands on no more than that. */
export function mostOf(what: 'Max open files' | 'Max file size' | 'Max processes', table = ownLimits()): number {
  const line = table.split('\n').find((one) => one.startsWith(`${what} `));
  const hard = line?.slice(what.length).trim().split(/\s+/)[1];
  return hard !== undefined && /^\d+$/.test(hard) ? Number(hard) : Number.POSITIVE_INFINITY;
}

const ownLimits = (): string => textOf('/proc/self/limits');

/**
 * What a session may use, where nothing else is asked for.
 *
 * @throws Failure for more than this host has.
 */
export function limitsOf(request: Asked): Limits {
  const cores = availableParallelism();
  if (request.cpus !== null && request.cpus > cores) throw usage(`--cpus: this host has ${cores}`, `--cpus ${cores}`);
  if (request.memoryBytes !== null && request.memoryBytes > totalmem())
    throw usage(
      `--memory: this host has ${Math.floor(totalmem() / 1024 ** 2)}m`,
      'leave it away for half of that, at most 2g',
    );
  return {
    memoryBytes: request.memoryBytes ?? Math.min(2 * GIB, Math.floor(totalmem() / 2)),
    cpus: request.cpus ?? Math.min(2, cores),
    // PID 1 and its thread may count with the agent's.
    pids: Math.max(1, Math.min(request.pids ?? 512, mostOf('Max processes') - 2)),
    openFiles: Math.min(4096, mostOf('Max open files')),
    fileBytes: Math.min(2 * GIB, mostOf('Max file size')),
    tmpBytes: GIB / 2,
  };
}
