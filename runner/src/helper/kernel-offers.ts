import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

export interface KernelOffers {
  /** ABI of Landlock, 0 without it: asked by the helper, since Node cannot. */
  readonly landlock: number;
  /** Whether a filter may hand a call to a supervisor (seccomp(2)). */
  readonly userNotification: boolean;
  /** Why one of this process's may not even so: there is a listener above it, say. Null: it may. */
  readonly refused: string | null;
}

export async function kernelOffers(helper: string): Promise<KernelOffers> {
  const userNotification = actions().includes('user_notif');
  try {
    const { stdout } = await promisify(execFile)(helper, ['offers']);
    return { landlock: Number(stdout) || 0, userNotification, refused: null };
  } catch (error) {
    const { stdout = '', stderr } = error as { stdout?: string; stderr?: string };
    if (!/^\d+\n$/.test(stdout)) throw error;
    const refused = (stderr ?? '').trim().replace(/^keywarden: error: /, '');
    return { landlock: Number(stdout), userNotification, refused };
  }
}

function actions(): string[] {
  try {
    return readFileSync('/proc/sys/kernel/seccomp/actions_avail', 'utf8').trim().split(' ');
  } catch {
    return [];
  }
}
