import { readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { parseCredentialPaths } from '../helper/credential-list.ts';

/** What of the host must be known to judge a mount. */
export interface HostPaths {
  /** Home directories of all users. */
  readonly homes: readonly string[];
  /** Credential paths below a home, relative: `.aws`, `.ssh` … */
  readonly credentials: readonly string[];
  /** Keywarden's own state: never mounted, whatever flag is given. */
  readonly state: string;
  /** Paths of the unix sockets on which programs of this host listen; asked only when something is mounted. */
  readonly sockets: () => readonly string[];
}

/** Where credentials are when the helper's own list cannot be read: shorter than it, and never empty. */
const WELL_KNOWN = [
  '.aws',
  '.ssh',
  '.gnupg',
  '.config/gcloud',
  '.azure',
  '.kube',
  '.docker/config.json',
  '.netrc',
  '.git-credentials',
  '.npmrc',
  '.pypirc',
  '.password-store',
  '.vault-token',
  '.local/share/keyrings',
  '.mozilla',
  '.config/chromium',
  '.config/google-chrome',
];

/** @param list  Text of `runner/helper/credential-paths.txt`, or null. */
export function hostPaths(state: string, list: string | null): HostPaths {
  let state_ = resolve(state);
  try {
    state_ = realpathSync(state_);
  } catch {
    // Not made yet: its name is all there is.
  }
  return { homes: homesOf(), credentials: credentialsOf(list), state: state_, sockets: listeningSockets };
}

/** By proc_net(5): those that are bound to an absolute path, and either take connections (`__SO_ACCEPTCON`) or datagrams. */
export function listeningSockets(): readonly string[] {
  let table: string;
  try {
    table = readFileSync('/proc/net/unix', 'utf8');
  } catch {
    return [];
  }
  return [...table.matchAll(/^\S+ \S+ \S+ (\S+) (\S+) \S+ +\S+ (\/.*)$/gm)].flatMap(([, flags, type, path = '']) => {
    if ((Number.parseInt(flags ?? '', 16) & 0x10000) === 0 && type !== '0002') return [];
    try {
      return [realpathSync(path)];
    } catch {
      return [];
    }
  });
}

/** Entries of the helper's list that lie below a home or in any folder, and are named without a pattern. */
export function credentialsOf(list: string | null): string[] {
  const listed = (list === null ? [] : parseCredentialPaths(list))
    .filter(
      ({ where, text, glob, observed, except }) => where !== '/' && !(glob || observed || except || HISTORY.test(text)),
    )
    .map(({ text }) => text);
  return [...new Set([...WELL_KNOWN, ...listed])];
}

/** A shell's history in a project is no reason to refuse the project. */
const HISTORY = /_history$|^\.(python|node_repl|sqlite|psql|mysql)/;

function homesOf(): string[] {
  const homes = new Set<string>([homedir()]);
  try {
    for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
      const fields = line.split(':');
      const uid = Number(fields[2]);
      // System users have /, /usr/sbin, /var/… for homes, which say nothing.
      if (fields[5] && (uid === 0 || (uid >= 1000 && uid < 65_534)) && fields[5] !== '/') homes.add(fields[5]);
    }
  } catch {
    // The caller's own is known in any case.
  }
  return [...homes].flatMap((home) => {
    try {
      return [realpathSync(home)];
    } catch {
      return [];
    }
  });
}
