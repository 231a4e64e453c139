import { availableParallelism, totalmem } from 'node:os';
import { usage } from '../failure.ts';
import type { Limits } from '../sandbox/backend.ts';

interface Asked {
  readonly memoryBytes: number | null;
  readonly cpus: number | null;
  readonly pids: number | null;
}

const GIB = 1024 ** 3;

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
    pids: request.pids ?? 512,
    openFiles: 4096,
    fileBytes: 2 * GIB,
    tmpBytes: GIB / 2,
  };
}
