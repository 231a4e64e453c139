import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { etcEntries, systemEntries } from '../../src/sandbox/namespace/system.ts';

const root = mkdtempSync(join(tmpdir(), 'keywarden-system-'));
const SYSTEM = ['usr', 'opt', 'nix'];
const NO_SYSTEM = 'proc dev sys run tmp etc home root mnt media boot var .ssh'.split(' ');
const SECRET = 'shadow shadow- gshadow gshadow- subuid subgid subuid- subgid- sudoers machine-id'.split(' ');
const OURS = 'passwd group hosts hostname nsswitch.conf resolv.conf mtab'.split(' ');
beforeAll(() => {
  for (const name of [...SYSTEM, ...NO_SYSTEM, 'etc/ssh', 'etc/sudoers.d', 'etc/ssl', 'etc/ssl/private'])
    mkdirSync(join(root, name));
  for (const name of [...SECRET, ...OURS, 'os-release']) writeFileSync(join(root, 'etc', name), '');
});
afterAll(() => rmSync(root, { recursive: true }));

const places = (entries: ReturnType<typeof etcEntries>): string[] => entries.map(({ at }) => at).toSorted();

it('of a root folder the system is shown, and no home, no state, nothing hidden', () =>
  expect(places(systemEntries(root))).toEqual(['/nix', '/opt', '/usr']));

it('of its /etc neither what tells of its users and keys, nor what is written for the sandbox', () =>
  expect(places(etcEntries(root))).toEqual(['/etc/os-release', '/etc/ssl']));

it("of the host's own /etc nothing but a few, of its certificates no private key", () => {
  const shown = places(etcEntries(null));
  expect(shown).toContain('/etc/ssl/certs');
  for (const at of ['', '/shadow', '/passwd', '/ssh', '/ssl', '/ssl/private', '/machine-id', '/hosts', '/environment'])
    expect(shown).not.toContain(`/etc${at}`);
  expect(shown.filter((at) => /private|shadow|key|secret|cred/.test(at))).toEqual([]);
});
