import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { layDecoys } from '../decoys/lay-decoys.ts';
import type { Identity } from './identity.ts';

export const HOME = '/home/agent';
export const HOSTNAME = 'keywarden';

/** Where a session's own files are on the host. */
export const placesIn = (folder: string) => ({
  control: join(folder, 'control'),
  seccomp: join(folder, 'seccomp.json'),
  decoys: join(folder, 'decoys'),
  etc: join(folder, 'etc'),
});

/** Where they stand inside; the id is in the paths so that a command line names its session (see namespace/find.ts). */
export const insideOf = (session: string) => ({
  helper: `/run/keywarden/${session}/keywarden-helper`,
  control: `/run/keywarden/${session}/control`,
  egress: `/run/keywarden/${session}/egress`,
});

/** Mounted one by one over the image's /etc. The engine would put the host's resolvers and search domains there. */
export const ETC_FILES = ['passwd', 'group', 'hosts', 'resolv.conf'] as const;

/** Writes everything that the mounts show. Secrets are none of it. */
export function layDown(folder: string, { uid, gid }: Identity, decoys: boolean): void {
  const places = placesIn(folder);
  const texts: Readonly<Record<(typeof ETC_FILES)[number], string>> = {
    // Git, ssh and Python's getpass want their user to have a name, whatever its number.
    passwd: `root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:${uid}:${gid}:agent:${HOME}:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`,
    group: `root:x:0:\nagent:x:${gid}:\nnogroup:x:65534:\n`,
    hosts: `127.0.0.1 localhost ${HOSTNAME}\n::1 localhost\n`,
    'resolv.conf': '',
  };
  mkdirSync(places.etc, { recursive: true, mode: 0o755 });
  for (const name of ETC_FILES) writeFileSync(join(places.etc, name), texts[name], { mode: 0o644, flag: 'wx' });
  if (decoys) layDecoys(places.decoys);
}
