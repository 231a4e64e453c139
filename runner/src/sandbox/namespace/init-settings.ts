import type { Mount, SandboxSpec } from '../backend.ts';

type Settings = Pick<SandboxSpec, 'deadlineAt' | 'graceMs' | 'egressPort' | 'limits'>;

/**
 * One argument of `keywarden-helper init`, in the order in which it is read.
 *
 * @param who  Whom PID 1 makes the agent; null: whom it was started as.
 * @param processes  Per uid, over all of the host; null: the control group bounds them.
 */
export function initSettings(
  { deadlineAt, graceMs, egressPort, limits }: Settings,
  who: { readonly uid: number; readonly gid: number } | null,
  processes: number | null,
): string {
  return [
    ...[`deadline=${deadlineAt}`, `grace=${graceMs}`, `port=${egressPort}`, `uid=${who?.uid ?? -1}`],
    ...[`gid=${who?.gid ?? -1}`, `nofile=${limits.openFiles}`, `fsize=${limits.fileBytes}`, `nproc=${processes ?? -1}`],
    'landlock=1',
  ].join(' ');
}

/** What PID 1 looks at before it starts the agent, up to the `--`; of one place the last mount is seen. */
export const judgedMounts = (mounts: readonly Mount[]): string[] =>
  [...new Map(mounts.map(({ destination, identity }) => [destination, identity]))].flatMap(([destination, identity]) =>
    identity === undefined ? [] : [`${identity}:${destination}`],
  );
