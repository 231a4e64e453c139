import { bootId, isRunning, pidNamespace, startTimeOf } from '../state/process-identity.ts';

/** Which process holds a lease: known by pid *and* start time, so that a reused pid is never taken for it. */
export interface Holder {
  readonly pid: number;
  readonly startTime: string | null;
  readonly bootId: string;
  readonly pidNamespace: string;
}

export const thisProcess = (): Holder => ({
  pid: process.pid,
  startTime: startTimeOf(process.pid),
  bootId: bootId(),
  pidNamespace: pidNamespace(),
});

export type HolderState = 'alive' | 'dead' | 'rebooted' | 'elsewhere';

/** @returns `elsewhere` when the pid is of another pid namespace, where we cannot look. */
export function stateOfHolder(holder: Holder, here: Holder = thisProcess()): HolderState {
  if (holder.bootId !== here.bootId) return 'rebooted';
  if (holder.pidNamespace !== here.pidNamespace) return 'elsewhere';
  return isRunning(holder.pid, holder.startTime) ? 'alive' : 'dead';
}

export const isHolder = (x: Holder | undefined): boolean =>
  Number.isInteger(x?.pid) && typeof x?.bootId === 'string' && typeof x.pidNamespace === 'string';
