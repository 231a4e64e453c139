import { readFileSync, readlinkSync } from 'node:fs';
import { codeOf } from './private-file.ts';
import { textOf } from './text-of.ts';

/** A process's start time in clock ticks since boot (proc(5), field 22 of stat), or null where /proc does not tell. */
export function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command, in parentheses, may itself hold spaces and parentheses: count from the last one.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** Not one that has ended, and only waits for its parent to ask for that. */
export function processIsAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return false;
  }
  return !/^State:\s*[ZX]/m.test(textOf(`/proc/${pid}/status`));
}

/** The process of that number *and* start time: a number is another's some day. */
export const isRunning = (pid: number, startTime: string | null): boolean =>
  processIsAlive(pid) && startTimeOf(pid) === startTime;

/** Changes with every boot; a pid means nothing across two of them. */
export const bootId = (): string => textOf('/proc/sys/kernel/random/boot_id').trim() || 'unknown';

/** Pids of one namespace mean nothing in another. */
export function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return 'unknown';
  }
}
