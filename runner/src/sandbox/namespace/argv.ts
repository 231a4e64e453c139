import { join } from 'node:path';
import type { Limits, Mount } from '../backend.ts';
import type { DecoyMounts } from '../decoys/lay-decoys.ts';
import type { Identity } from './identity.ts';
import { initSettings, judgedMounts } from './init-settings.ts';
import { HOME, insideOf } from './inside.ts';
import { DEVICES, HOSTNAME, placesIn } from './lay-down.ts';
import type { Entry, ProcCovers } from './system.ts';

/** All that decides the command lines; building them is pure. */
export interface Layout {
  readonly session: string;
  readonly folder: string;
  readonly bwrap: string;
  readonly helper: string;
  /** The agent's, below which `~/` patterns are. */
  readonly home: string;
  readonly identity: Identity;
  readonly system: readonly Entry[];
  readonly etc: readonly Entry[];
  readonly proc: ProcCovers;
  readonly decoys: DecoyMounts | null;
  readonly mounts: readonly Mount[];
  readonly limits: Limits;
  readonly egressSocket: string;
  readonly egressPort: number;
  readonly deadlineAt: number;
  readonly graceMs: number;
  readonly workdir: string;
  readonly pty: boolean;
  readonly command: readonly string[];
}

/** Arguments up to `run` are files to write `0` to; what follows is run. Nothing is ever put into these texts. */
const JOIN = 'while [ "$1" != run ]; do echo 0 >"$1" || exit; shift; done; shift; exec "$@"';
/** KiB of private writable memory that each process may have (RLIMIT_DATA), then what is run. Fails only where less is allowed. */
const BOUND = 'ulimit -d "$1" 2>/dev/null || :; shift; exec "$@"';

/**
 * What is started: a process that first puts itself into the session's control groups, so that nothing is ever outside of
 * them, and without the wait that moving another process costs (`Cgroups.doors`); where there are none, it bounds at least the
 * memory of each process. The one shell in here, for Node can run nothing between fork and exec; its text is fixed, and it
 * becomes the supervisor.
 *
 * @param doors  Of every group, what to write `0` to; none: there are no groups to be in.
 */
export const startArgv = (layout: Layout, doors: readonly string[]): string[] => [
  ...(doors.length === 0
    ? ['/bin/sh', '-c', BOUND, 'bound', String(Math.ceil(layout.limits.memoryBytes / 1024))]
    : ['/bin/sh', '-c', JOIN, 'join', ...doors, 'run']),
  ...superviseArgv(layout),
];

/** The whole command line; its secrets come by a descriptor, never in here. */
function superviseArgv(layout: Layout): string[] {
  const { helper, folder, home, identity, pty } = layout;
  const owner = identity.kind === 'dropped' ? identity.uid : -1;
  const settings = `pty=${Number(pty)} count=1 owner=${owner}`;
  return [helper, 'supervise', placesIn(folder).control, home, settings, ...bwrapArgv(layout)];
}

function bwrapArgv(layout: Layout): string[] {
  return [
    layout.bwrap,
    ...walls(layout.identity),
    ...layout.system.flatMap(shown),
    ...['--ro-bind', placesIn(layout.folder).etc, '/etc'],
    // Links of /etc were laid down as links.
    ...layout.etc.filter((entry) => entry.kind !== 'link').flatMap(shown),
    ...procMounts(layout),
    ...devMounts(layout),
    ...['--size', String(layout.limits.tmpBytes), '--perms', '1777', '--tmpfs', '/tmp'],
    ...openFolder('/var'),
    ...['--symlink', '../tmp', '/var/tmp', '--symlink', '../run', '/var/run'],
    ...homeMounts(layout),
    ...ownMounts(layout),
    ...layout.mounts.toSorted(shallowFirst).flatMap(mounted),
    // bwrap's own root is a tmpfs without a bound, and writable.
    ...['--remount-ro', '/', '--chdir', '/', '--'],
    ...initArgv(layout),
  ];
}

/**
 * `--unshare-all` would only *try* the user and the cgroup namespace; each is named, so that a missing one is an error.
 * `--as-pid-1` makes the helper PID 1: the kernel drops signals to it from inside (pid_namespaces(7)).
 */
function walls(identity: Identity): string[] {
  const common = [
    ...['--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts', '--unshare-cgroup-try'],
    ...['--die-with-parent', '--as-pid-1', '--clearenv', '--hostname', HOSTNAME, '--cap-drop', 'ALL'],
  ];
  if (identity.kind === 'own') {
    return [...common, '--unshare-user', '--uid', String(identity.uid), '--gid', String(identity.gid)];
  }
  // For PID 1 alone, which becomes the agent's uid, empties its bounding set and ends what bears that uid.
  return [...common, ...['SETUID', 'SETGID', 'SETPCAP', 'KILL'].flatMap((name) => ['--cap-add', `CAP_${name}`])];
}

function shown(entry: Entry): string[] {
  return entry.kind === 'link' ? ['--symlink', entry.target, entry.at] : ['--ro-bind', entry.source, entry.at];
}

/** An empty tmpfs costs bwrap less than a bind, after each of which it reads the whole table of mounts. */
function procMounts({ proc }: Layout): string[] {
  const empty = (at: string): string[] => ['--size', '4096', '--perms', '0555', '--tmpfs', at, '--remount-ro', at];
  return [
    ...['--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys'],
    ...proc.folders.flatMap((name) => empty(`/proc/${name}`)),
    ...proc.files.flatMap((name) => ['--ro-bind', '/dev/null', `/proc/${name}`]),
  ];
}

function devMounts({ identity, folder, limits }: Layout): string[] {
  const own = placesIn(folder).devices;
  const copies = identity.kind === 'own' && identity.rootEquivalent ? DEVICES : [];
  return [
    ...['--dev', '/dev', ...copies.flatMap((name) => ['--dev-bind', join(own, name), `/dev/${name}`])],
    ...['--size', String(limits.tmpBytes), '--perms', '1777', '--tmpfs', '/dev/shm'],
    // bwrap offers the terminal of its own descriptor 1 there (TIOCSTI, CVE-2017-5226).
    ...['--ro-bind', '/dev/null', '/dev/console', '--remount-ro', '/dev'],
  ];
}

/** bwrap makes a tmpfs as its own user; whoever the agent is may write there, and nobody else is in the sandbox. */
function homeMounts({ decoys, limits }: Layout): string[] {
  const tmpfs = (path: string): string[] => [
    ...['--size', String(limits.tmpBytes), '--perms', '1777', '--tmpfs', path],
  ];
  if (decoys === null) return tmpfs(HOME);
  return [
    ...tmpfs(HOME),
    ...decoys.pinned.flatMap((path) => tmpfs(join(HOME, path))),
    ...decoys.readOnly.flatMap(({ source, path }) => ['--ro-bind', source, join(HOME, path)]),
  ];
}

/** Sockets on a read-only mount can be connected to, but not chmodded or removed. */
function ownMounts({ session, folder, helper, egressSocket }: Layout): string[] {
  const inside = insideOf(session);
  return [
    ...['--ro-bind', helper, inside.helper],
    ...['--ro-bind', placesIn(folder).control, inside.control],
    ...['--ro-bind', egressSocket, inside.egress],
  ];
}

/** bwrap makes missing parents for its own user only; the agent must pass through them. */
function mounted({ destination, source, writable }: Mount): string[] {
  const names = destination.split('/').slice(1, -1);
  const parents = names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`);
  return [...parents.flatMap(openFolder), writable ? '--bind' : '--ro-bind', source, destination];
}

const openFolder = (path: string): string[] =>
  path === HOME || path === '/tmp' || path === '/home' ? [] : ['--perms', '0755', '--dir', path];

const shallowFirst = (a: Mount, b: Mount): number => a.destination.split('/').length - b.destination.split('/').length;

function initArgv(layout: Layout): string[] {
  const inside = insideOf(layout.session);
  const dropped = layout.identity.kind === 'dropped' ? layout.identity : null;
  // Where PID 1 has the agent's uid, its two threads count with the agent's processes.
  const settings = initSettings(layout, dropped, layout.limits.pids + (dropped === null ? 2 : 0));
  const told = [inside.control, inside.egress, layout.workdir, settings, ...judgedMounts(layout.mounts)];
  return [inside.helper, 'init', ...told, '--', ...layout.command];
}
