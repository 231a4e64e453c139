import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

let ticksPerSecond: number | null = null;

/** CPU seconds that the processes have used since they started, in user and kernel mode (proc(5): utime + stime). */
export function cpuSecondsOf(pids: readonly number[]): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name may hold spaces and brackets: fields are counted after its last bracket.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / ticksPerSecond;
}

/**
 * Waits until the processes rest, so that work put off (a flush) is charged to whom it belongs and disturbs nobody else.
 *
 * @returns seconds waited.
 */
export async function untilIdle(pids: readonly number[], atMostSeconds = 20): Promise<number> {
  const begin = performance.now();
  const waited = (): number => (performance.now() - begin) / 1000;
  let quiet = 0;
  let before = cpuSecondsOf(pids);
  while (quiet < 3 && waited() < atMostSeconds) {
    await sleep(100);
    const now = cpuSecondsOf(pids);
    quiet = now - before <= 0.01 ? quiet + 1 : 0;
    before = now;
  }
  return waited();
}
