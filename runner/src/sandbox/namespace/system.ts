import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** One entry of the sandbox's tree, as it stands on the host. */
export type Entry =
  | { readonly kind: 'link'; readonly at: string; readonly target: string }
  | { readonly kind: 'folder' | 'file'; readonly at: string; readonly source: string };

/** On a merged-/usr system all but the first are links into it. */
const SYSTEM = ['usr', 'bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];

/** Of the host's /etc only what programs need and nobody hides secrets in: never /etc itself, never ssl/private. */
const HOST_ETC = [
  'alternatives',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'mime.types',
  'os-release',
  'protocols',
  'services',
  'fonts',
  'ssl/certs',
  'ssl/openssl.cnf',
  'ca-certificates',
  'pki/tls/certs',
  'pki/ca-trust',
  'crypto-policies',
];

/** Written by us, or of no use but to an attacker. */
const NOT_FROM_A_ROOT = new Set(['passwd', 'group', 'hosts', 'hostname', 'nsswitch.conf', 'resolv.conf', 'mtab']);
const SECRET_IN_A_ROOT = /^(g?shadow-?|sub[ug]id-?|sudoers(\.d)?|ssh|machine-id)$/;
const NOT_A_SYSTEM = new Set([
  'proc',
  'dev',
  'sys',
  'run',
  'tmp',
  'etc',
  'home',
  'root',
  'mnt',
  'media',
  'boot',
  'var',
]);

export function systemEntries(root: string | null): Entry[] {
  const names =
    root === null ? SYSTEM : readdirSync(root).filter((name) => !NOT_A_SYSTEM.has(name) && !name.startsWith('.'));
  return names.flatMap((name) => entryAt(join(root ?? '/', name), `/${name}`));
}

export function etcEntries(root: string | null): Entry[] {
  const etc = join(root ?? '/', 'etc');
  const names =
    root === null ? HOST_ETC : listOf(etc).filter((name) => !NOT_FROM_A_ROOT.has(name) && !SECRET_IN_A_ROOT.test(name));
  return names.flatMap((name) => entryAt(join(etc, name), `/etc/${name}`));
}

function entryAt(source: string, at: string): Entry[] {
  try {
    const stat = lstatSync(source);
    if (stat.isSymbolicLink()) return [{ kind: 'link', at, target: readlinkSync(source) }];
    if (stat.isDirectory()) return [{ kind: 'folder', at, source }];
    return stat.isFile() ? [{ kind: 'file', at, source }] : [];
  } catch {
    return [];
  }
}

function listOf(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/**
 * Files of /proc that tell about the whole machine or act on it. Most ask for root's uid only, which the agent has when
 * root's folders are mounted writable; the list is Docker's MaskedPaths and what Linux 6.18 adds. `bwrap --proc` covers only
 * what the caller could write by access(2), which it is not when the folder itself is 0555: /proc/sys (tried).
 */
const PROC_FILES = [
  'config.gz',
  'interrupts',
  'iomem',
  'ioports',
  'kallsyms',
  'kcore',
  'keys',
  'key-users',
  'kmsg',
  'kpagecgroup',
  'kpagecount',
  'kpageflags',
  'latency_stats',
  'mtrr',
  'pagetypeinfo',
  'sched_debug',
  'slabinfo',
  'sysrq-trigger',
  'timer_list',
  'timer_stats',
  'vmallocinfo',
];
const PROC_FOLDERS = ['acpi', 'asound', 'bus', 'driver', 'fs', 'irq', 'scsi'];

export interface ProcCovers {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

export function procCovers(proc: readonly string[] = listOf('/proc')): ProcCovers {
  const there = new Set(proc);
  return {
    files: PROC_FILES.filter((name) => there.has(name)),
    folders: PROC_FOLDERS.filter((name) => there.has(name)),
  };
}
