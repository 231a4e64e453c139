import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Check, layer } from './check.ts';

/** The layers of isolation that this host offers to the runner of sandboxes. Nothing here is needed for the edge. */
export function isolationChecks(env: NodeJS.ProcessEnv = process.env): Check[] {
  return [bubblewrap(env), userNamespaces(), seccomp(), landlock(), docker()];
}

function bubblewrap(env: NodeJS.ProcessEnv): Check {
  const found = (env['PATH'] ?? '')
    .split(delimiter)
    .map((dir) => join(dir, 'bwrap'))
    .find(isExecutable);
  const works =
    found !== undefined &&
    spawnSync(found, ['--ro-bind', '/', '/', '--unshare-all', 'true'], { timeout: 5_000 }).status === 0;
  if (found === undefined) return layer('bubblewrap', false, 'bwrap is not on PATH', 'apt-get install bubblewrap');
  return layer(
    'bubblewrap',
    works,
    works ? `${found} makes a sandbox` : `${found} cannot make a sandbox here`,
    'allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (and kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu)',
  );
}

function userNamespaces(): Check {
  const most = Number(textOf('/proc/sys/user/max_user_namespaces') ?? '0');
  const debian = textOf('/proc/sys/kernel/unprivileged_userns_clone');
  const there = existsSync('/proc/self/ns/user') && most > 0 && debian !== '0';
  return layer(
    'user namespaces',
    there,
    there ? `at most ${most}` : 'switched off',
    'sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1',
  );
}

function seccomp(): Check {
  const actions = textOf('/proc/sys/kernel/seccomp/actions_avail');
  const notify = actions?.split(' ').includes('user_notif') ?? false;
  return layer(
    'seccomp',
    notify,
    actions === null ? 'the kernel has none' : `actions: ${actions}`,
    'a kernel ≥ 5.0 with CONFIG_SECCOMP_FILTER',
  );
}

function landlock(): Check {
  const modules = textOf('/sys/kernel/security/lsm');
  if (modules === null) {
    return layer(
      'Landlock',
      false,
      '/sys/kernel/security/lsm cannot be read',
      'mount -t securityfs securityfs /sys/kernel/security',
    );
  }
  return layer(
    'Landlock',
    modules.split(',').includes('landlock'),
    `security modules: ${modules}`,
    'boot with lsm=landlock,… (kernel ≥ 5.13)',
  );
}

function docker(): Check {
  const path = '/var/run/docker.sock';
  const there = isSocket(path);
  const allowed = there && isAccessible(path);
  return layer(
    'docker socket',
    allowed,
    allowed ? path : there ? `${path} is not yours to use` : `no ${path}`,
    there ? 'join the group docker, or use bubblewrap' : 'apt-get install docker.io, or use bubblewrap',
  );
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isAccessible(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch {
    return false;
  }
}
