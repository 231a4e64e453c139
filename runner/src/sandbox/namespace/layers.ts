import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { Failure } from '../../failure.ts';
import { helperPath } from '../../helper/helper-path.ts';
import { type KernelOffers, kernelOffers } from '../../helper/kernel-offers.ts';
import { CORE_LIMITS, type Layer } from '../backend.ts';
import { nobodyTraces } from '../tracing.ts';
import { cgroupBases } from './cgroup.ts';
import { findProgram } from './find-program.ts';

const run = promisify(execFile);

/** What this host offers this user for the namespace backend, each tried for real. */
export async function namespaceLayers(): Promise<readonly Layer[]> {
  // Side by side: every run waits for both.
  const tried = bubblewrap();
  const helper = await helperPath().then(
    (path) => ({ path, why: '', mend: '' }),
    (error: Error) => ({
      path: null,
      why: error.message,
      mend: error instanceof Failure ? error.hints.join('; ') : 'apt-get install gcc libc6-dev',
    }),
  );
  const offers = helper.path === null ? null : await kernelOffers(helper.path).catch(() => null);
  return [
    layer('helper', helper.path !== null, helper.path ?? helper.why, helper.mend),
    await tried,
    namespaces(),
    layer(
      'seccomp user notification',
      offers?.userNotification === true && offers.refused === null && !nobodyTraces(),
      notification(offers),
      'a kernel ≥ 5.5 with CONFIG_SECCOMP_FILTER, no other listener above (in a container of LXD there is one), and kernel.yama.ptrace_scope < 3',
    ),
    layer(
      'Landlock',
      (offers?.landlock ?? 0) > 0,
      offers === null ? 'not tried: the helper is missing' : `ABI ${offers.landlock}`,
      'a kernel ≥ 5.13, started with lsm=landlock,…',
    ),
    ...cgroups(),
  ];
}

function notification(offers: KernelOffers | null): string {
  if (offers === null) return 'not tried: the helper is missing';
  if (!offers.userNotification) return 'not there';
  if (nobodyTraces())
    return "nobody may read another process's memory, where the paths are (kernel.yama.ptrace_scope is 3)";
  return offers.refused ?? 'answered by the kernel';
}

async function bubblewrap(): Promise<Layer> {
  const found = findProgram('bwrap');
  if (found === null) return layer('bubblewrap', false, 'bwrap is not on PATH', 'apt-get install bubblewrap');
  try {
    await run(found, ['--ro-bind', '/', '/', '--unshare-all', '--unshare-user', '--die-with-parent', 'true'], {
      timeout: 10_000,
    });
    return layer('bubblewrap', true, `${found} makes a sandbox`, '');
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr ?? error).trim();
    return layer(
      'bubblewrap',
      false,
      `${found} makes no sandbox: ${said.slice(0, 200)}`,
      'allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (and kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu)',
    );
  }
}

function namespaces(): Layer {
  const most = Number(textOf('/proc/sys/user/max_user_namespaces') ?? '0');
  const debian = textOf('/proc/sys/kernel/unprivileged_userns_clone');
  const there = most > 0 && (debian !== '0' || process.getuid?.() === 0);
  return layer(
    'user namespaces',
    there,
    there ? `at most ${most}` : 'switched off',
    'sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1',
  );
}

/** Without them rlimits bound the number of processes and the memory of each, and nothing bounds cores: told, and no refusal. */
function cgroups(): Layer[] {
  const found = cgroupBases().flatMap((base) => base.controllers);
  const mend = 'run as root, or in a user session of systemd with Delegate=memory pids cpu';
  const groups = found.filter((name) => name !== 'cpu');
  const bounded = groups.length === 2 ? groups.join(', ') : '--memory holds for each process alone';
  const cores = found.includes('cpu') ? 'cpu' : 'no cpu controller is delegated to this user';
  return [
    { ...layer('cgroup limits', groups.length === 2, bounded, mend), required: false },
    { ...layer(CORE_LIMITS, found.includes('cpu'), cores, mend), required: false },
  ];
}

function layer(name: string, present: boolean, detail: string, mend: string): Layer {
  return { name, present, detail, mend: present ? null : mend, required: true };
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
