import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Failure } from '../../failure.ts';
import { layDecoys } from '../decoys/lay-decoys.ts';
import type { Identity } from './identity.ts';
import { HOME } from './inside.ts';
import type { Entry } from './system.ts';

/** Where a session's own files are on the host. */
export const placesIn = (folder: string) => ({
  etc: join(folder, 'etc'),
  decoys: join(folder, 'decoys'),
  devices: join(folder, 'devices'),
  control: join(folder, 'control'),
});

/** Device nodes that `bwrap --dev` binds from the host: their inodes are the host's, and root's uid may chmod them. */
export const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];

export const HOSTNAME = 'keywarden';

/** Writes everything that the mounts of the session show. Secrets are none of it. */
export function layDown(folder: string, identity: Identity, etc: readonly Entry[], decoys: boolean): void {
  const places = placesIn(folder);
  mkdirSync(places.etc, { mode: 0o755 });
  for (const [name, text] of Object.entries(etcFiles(identity))) writeFileSync(join(places.etc, name), text, WORLD);
  const made = new Set([places.etc]);
  for (const entry of etc) layMountPoint(places.etc, entry, made);
  if (decoys) layDecoys(places.decoys);
  if (identity.kind === 'own' && identity.rootEquivalent) copyDevices(places.devices);
}

const WORLD = { mode: 0o644, flag: 'wx' } as const;

function etcFiles({ uid, gid }: Identity): Readonly<Record<string, string>> {
  return {
    passwd: `root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:${uid}:${gid}:agent:${HOME}:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`,
    group: `root:x:0:\nagent:x:${gid}:\nnogroup:x:65534:\n`,
    hosts: `127.0.0.1 localhost ${HOSTNAME}\n::1 localhost\n`,
    'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n',
    // Empty on purpose: there is no resolver, and glibc's default (127.0.0.1:53) is refused at once.
    'resolv.conf': '',
    hostname: `${HOSTNAME}\n`,
  };
}

/** /etc is one read-only mount of ours; what comes from the host is mounted onto a place that must exist before. */
function layMountPoint(etc: string, entry: Entry, made: Set<string>): void {
  const at = join(etc, entry.at.slice('/etc/'.length));
  const parent = dirname(at);
  if (!made.has(parent)) mkdirSync(parent, { recursive: true, mode: 0o755 });
  made.add(parent);
  if (entry.kind === 'link') symlinkSync(entry.target, at);
  else if (entry.kind === 'folder') mkdirSync(at, { mode: 0o755 });
  else writeFileSync(at, '', WORLD);
}

/** Nodes of the session's own: a chmod or utimes from inside then changes nothing of the host's. */
function copyDevices(to: string): void {
  mkdirSync(to, { mode: 0o755 });
  const copied = spawnSync('cp', ['-a', '--', ...DEVICES.map((name) => `/dev/${name}`), to], { encoding: 'utf8' });
  if (copied.status === 0) return;
  throw new Failure(
    `cannot make device nodes of the session's own: ${copied.stderr?.trim() || copied.error?.message}`,
    'as root a writable mount should belong to another user (chown it): then none are needed',
  );
}
