import { lstatSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, normalize, sep } from 'node:path';
import { Failure, usage } from '../failure.ts';
import type { Mount } from '../sandbox/backend.ts';
import { RESERVED } from '../sandbox/reserved.ts';
import type { HostPaths } from './host-paths.ts';
import { sourceOf } from './mount-source.ts';
import { secondNameIn } from './second-names.ts';

export interface MountRequest {
  readonly source: string;
  readonly destination: string;
  readonly writable: boolean;
}

/** `SRC:DST[:rw|:ro]`; read-only unless it says otherwise. */
export function parseMount(text: string): MountRequest {
  const match = /^(.+?):(\/[^:]*)(?::(rw|ro))?$/s.exec(text);
  if (match === null)
    throw usage(`--mount ${text}: write SRC:DST or SRC:DST:rw, DST absolute`, '--mount ./work:/work:rw');
  const [, source = '', destination = '', mode] = match;
  return { source, destination, writable: mode === 'rw' };
}

/** Never, since they are the host itself or hold its sockets and keys. */
const SYSTEM = [
  '/',
  '/etc',
  '/proc',
  '/sys',
  '/dev',
  '/run',
  '/var',
  '/var/run',
  '/var/lib',
  '/boot',
  '/root',
  '/home',
  '/usr',
  '/tmp',
];
/** `/var/run` is a link to `/run`. */
const INSIDE_RESERVED = ['/', ...RESERVED, '/var/run'];

/** Systems have them, and our Landlock (`SYSTEM` in the helper's walls.c) lets nobody write below them, whatever is mounted there. */
const INSIDE_READ_ONLY = ['/opt', '/boot', '/lib32', '/libx32'];

/**
 * Judges a mount and resolves it: symlinks are followed here once, and what is mounted is what was judged.
 *
 * @param anyway  The person said that credentials may be seen (`--mount-anyway`). The state directory stays refused.
 * @throws Failure saying why, and what to do instead.
 */
export function checkMount(request: MountRequest, host: HostPaths, anyway: boolean): Mount {
  const destination = normalize(request.destination).replace(/(.)\/+$/, '$1');
  if (
    !isAbsolute(destination) ||
    INSIDE_RESERVED.some((path) => destination === path || isBelow(destination, path, '/'))
  ) {
    throw usage(`--mount …:${destination}: this place belongs to the sandbox's own system`, 'use one like /work');
  }
  if (request.writable && INSIDE_READ_ONLY.some((path) => destination === path || isBelow(destination, path)))
    throw usage(
      `--mount …:${destination}:rw: nothing may be written there`,
      'use a place like /work, or leave :rw away',
    );
  const { source, kind } = sourceOf(request.source);
  if (!kind.isDirectory() && !kind.isFile())
    throw new Failure(
      `--mount ${source}: only folders and files can be mounted, no sockets or devices`,
      'mount a folder',
    );
  if (overlaps(source, host.state)) {
    throw new Failure(`--mount ${source}: Keywarden's own keys are in it (${host.state})`, [
      'mount a folder below it that does not hold them',
      'or keep the state elsewhere: --state DIR',
    ]);
  }
  const ours = secondNameIn(
    source,
    OUR_KEYS.map((key) => join(host.state, key)),
  );
  if (ours !== null)
    throw new Failure(`--mount ${source}: ${ours.name} is another name of Keywarden's own ${ours.of} (a hard link)`, [
      'remove it, or mount a folder that does not hold it',
    ]);
  const why = anyway ? null : reasonAgainst(source, host);
  if (why !== null) {
    throw new Failure(`--mount ${source}: ${why}`, [
      'mount only the folder that the agent works in',
      'if the agent may see what is there: --mount-anyway',
    ]);
  }
  return { source, destination, writable: request.writable, identity: `${kind.dev}:${kind.ino}` };
}

/**
 * A mount below another one needs its place there: made by us it would stay behind on the host, or could not be made at all.
 *
 * @throws Failure that names the place.
 */
export function checkNesting(mounts: readonly Mount[]): void {
  for (const { source, destination } of mounts) {
    const [above] = mounts
      .filter((other) => isBelow(destination, other.destination))
      .sort((a, b) => b.destination.length - a.destination.length);
    if (above === undefined) continue;
    const place = join(above.source, destination.slice(above.destination.length));
    const [is, wanted] = [lstatSync(place, { throwIfNoEntry: false }), statSync(source)];
    if (is?.isDirectory() === wanted.isDirectory() && is.isFile() === wanted.isFile()) continue;
    const kind = wanted.isDirectory() ? 'folder' : 'file';
    throw new Failure(
      `--mount …:${destination}: ${place} is no ${kind} to mount it on`,
      `make an empty ${kind} there first`,
    );
  }
}

function reasonAgainst(source: string, host: HostPaths): string | null {
  if (SYSTEM.includes(source)) return 'this is the host itself';
  for (const system of ['/etc', '/proc', '/sys', '/dev', '/run', '/boot'])
    if (isBelow(source, system)) return `it is part of the host (${system})`;
  for (const home of host.homes) {
    if (source === home) return 'this is a home';
    if (isBelow(home, source)) return `a home is in it (${home})`;
    for (const full of host.credentials.flatMap((path) => placesOf(home, path))) {
      if (source === full || isBelow(source, full)) return `credentials are kept there (${full})`;
      if (isBelow(full, source) && exists(full)) return `credentials are in it (${full})`;
    }
  }
  // Whosever home it is: one of another machine, of a container, of nobody in passwd.
  const elsewhere = [...OURS, ...host.credentials].filter((path) => !OF_PROJECTS.test(path));
  const kept = elsewhere.find((path) => `${source}/`.includes(`/${path}/`));
  if (kept !== undefined) return `credentials are kept there (${kept})`;
  const held = elsewhere.find((path) => exists(join(source, path)));
  if (held !== undefined) return `credentials are in it (${held})`;
  const places = host.homes.flatMap((home) => host.credentials.flatMap((path) => placesOf(home, path)));
  const second = secondNameIn(source, places);
  if (second !== null) return `${second.name} is another name of credentials (a hard link to ${second.of})`;
  // A read-only mount stops no connect(2), and no network namespace does (threat B33).
  const socket = host.sockets().find((path) => isBelow(path, source));
  return socket === undefined
    ? null
    : `a program of this host listens in it, past the network that is not there (${socket})`;
}

/** A system may well be below /var; what must not be is the host's own, its homes, and our keys. */
export function reasonAgainstRoot(path: string, host: HostPaths): string | null {
  if (SYSTEM.includes(path)) return "this is the host's own";
  if (overlaps(path, host.state)) return `Keywarden's own keys are in it (${host.state})`;
  const home = host.homes.find((one) => one === path || isBelow(one, path));
  return home === undefined ? null : `a home is in it (${home})`;
}

const overlaps = (a: string, b: string): boolean => a === b || isBelow(a, b) || isBelow(b, a);
function isBelow(path: string, above: string, root = ''): boolean {
  if (above === root) return false;
  return path !== above && path.startsWith(above.endsWith(sep) ? above : above + sep);
}

/** As it is called, and where a link leads: settings are often kept in another folder. */
function placesOf(home: string, path: string): string[] {
  const named = join(home, path);
  if (OF_PROJECTS.test(path)) return [named];
  try {
    return [...new Set([named, realpathSync(named)])];
  } catch {
    return [named];
  }
}

function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** What many a project has at its root for good reasons; the sandbox denies and counts the opening of these by itself. */
const OF_PROJECTS = /^\.(env|dev\.vars|npmrc|pypirc|yarnrc|gitconfig|git\/)/;

/** In a state directory: who has them acts as the edge, or as its operator. */
const OUR_KEYS = ['operator.key', 'signing.jwk', 'runner.jwk'];
/** Of a run other than this one, too. */
const OURS = ['.keywarden', ...OUR_KEYS];
