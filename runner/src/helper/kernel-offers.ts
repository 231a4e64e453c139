import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

export interface KernelOffers {
  /** ABI of Landlock, 0 without it: asked by the helper, since Node cannot. */
  readonly landlock: number;
  /** Whether a filter may hand a call to a supervisor (seccomp(2)). */
  readonly userNotification: boolean;
}

export async function kernelOffers(helper: string): Promise<KernelOffers> {
  const { stdout } = await promisify(execFile)(helper, ['landlock']);
  return { landlock: Number(stdout) || 0, userNotification: actions().includes('user_notif') };
}

function actions(): string[] {
  try {
    return readFileSync('/proc/sys/kernel/seccomp/actions_avail', 'utf8').trim().split(' ');
  } catch {
    return [];
  }
}
