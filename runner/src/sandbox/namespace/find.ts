import { readdirSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { startTimeOf } from '../../state/process-identity.ts';
import { textOf } from '../../state/text-of.ts';
import type { Trace } from '../backend.ts';

export interface FoundProcess {
  readonly pid: number;
  readonly startTime: string;
  readonly name: string;
}

/**
 * Every living process of a session, by what it cannot fake against a neighbour:
 *
 * - pid *and* start time as traced in the lease;
 * - a supervisor or bwrap in *our* pid namespace whose control socket is the session's (no agent is ever there);
 * - PID 1 of another pid namespace with such a socket (no agent is ever PID 1: new namespaces are refused to it);
 * - whatever is in the pid namespace of one of these, or in the session's cgroups.
 */
export function findProcesses(
  session: string,
  traces: readonly Trace[],
  inCgroups: readonly number[] = [],
): FoundProcess[] {
  const here = namespaceOf('self');
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number);
  const traced = new Map(traces.flatMap((trace) => (trace.kind === 'process' ? [[trace.pid, trace.startTime]] : [])));
  const seeds = all.filter(
    (pid) =>
      (traced.has(pid) && traced.get(pid) === startTimeOf(pid)) ||
      inCgroups.includes(pid) ||
      isWall(pid, session, here),
  );
  const namespaces = new Set(seeds.map((pid) => namespaceOf(pid)).filter((ns) => ns !== null && ns !== here));
  const found =
    namespaces.size === 0 ? seeds : all.filter((pid) => seeds.includes(pid) || namespaces.has(namespaceOf(pid)));
  return found.flatMap((pid) => {
    const startTime = startTimeOf(pid);
    return startTime === null || isZombie(pid) ? [] : [{ pid, startTime, name: nameOf(pid) }];
  });
}

function isWall(pid: number, session: string, here: string | null): boolean {
  const argv = textOf(`/proc/${pid}/cmdline`).split('\0');
  const program = basename(argv[0] ?? '');
  if (program !== 'keywarden-helper' && program !== 'bwrap') return false;
  // Only where we wrote it: the session's command and its mounts are a person's words, and may name a neighbour.
  const [, , control = ''] = program === 'bwrap' ? argv.slice(argv.indexOf('--') + 1) : argv;
  if (!['/control', '/box/control'].some((name) => control.endsWith(`/${session}${name}`))) return false;
  return namespaceOf(pid) === here || isFirstOfItsNamespace(pid);
}

function isFirstOfItsNamespace(pid: number): boolean {
  const ids = /^NSpid:\s*(.*)$/m.exec(textOf(`/proc/${pid}/status`))?.[1]?.split(/\s+/) ?? [];
  return ids.length > 1 && ids.at(-1) === '1';
}

const isZombie = (pid: number): boolean => /^State:\s*[ZX]/m.test(textOf(`/proc/${pid}/status`));

const nameOf = (pid: number): string => textOf(`/proc/${pid}/comm`).trim() || 'unknown';

function namespaceOf(pid: number | 'self'): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return null;
  }
}
