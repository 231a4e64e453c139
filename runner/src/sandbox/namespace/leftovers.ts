import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../failure.ts';
import { startTimeOf } from '../../state/process-identity.ts';
import type { Leftover, Trace } from '../backend.ts';
import { emptyFolder, filesIn, mountsBelow } from '../session-folder.ts';
import { findCgroups, pidsIn, removeCgroup } from './cgroup.ts';
import { type FoundProcess, findProcesses } from './find.ts';

const PATIENCE_MS = 5000;

export function leftovers(session: string, traces: readonly Trace[], folder: string): Leftover[] {
  const groups = cgroupsOf(session, traces);
  return [
    ...processesOf(session, traces).map(({ pid, name }): Leftover => ({ kind: 'process', name: `${pid} ${name}` })),
    ...groups.map((name): Leftover => ({ kind: 'cgroup', name })),
    // The sandbox's mounts are in its own namespace; one of ours in the folder would be a bug, and is told.
    ...mountsBelow(folder).map((name): Leftover => ({ kind: 'mount', name })),
    ...filesIn(folder),
  ];
}

/** Ends every process, then removes the groups and the files. Throws when something stays. */
export async function sweep(session: string, traces: readonly Trace[], folder: string): Promise<void> {
  await endProcesses(session, traces);
  for (const path of cgroupsOf(session, traces)) await removeCgroup(path);
  emptyFolder(folder);
}

/** SIGKILL until none lives: what is killed while it forks leaves a child that the next look finds. */
export async function endProcesses(session: string, traces: readonly Trace[]): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
    const living = processesOf(session, traces);
    if (living.length === 0) return;
    for (const one of living) end(one);
    if (performance.now() > until) {
      throw new Failure(
        `processes of ${session} cannot be ended: ${living.map(({ pid, name }) => `${pid} (${name})`).join(', ')}`,
        'they may wait for a device or belong to another user: sweep again as that user',
      );
    }
    await sleep(pause);
  }
}

const cgroupsOf = (session: string, traces: readonly Trace[]): string[] =>
  findCgroups(
    session,
    traces.flatMap((trace) => (trace.kind === 'cgroup' ? [trace.path] : [])),
  );

const processesOf = (session: string, traces: readonly Trace[]): FoundProcess[] =>
  findProcesses(session, traces, cgroupsOf(session, traces).flatMap(pidsIn));

/** Its identity is looked at again right before: a pid may have been reused since the listing. */
function end({ pid, startTime }: FoundProcess): void {
  if (startTimeOf(pid) !== startTime) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone, or not ours: the next look tells.
  }
}
