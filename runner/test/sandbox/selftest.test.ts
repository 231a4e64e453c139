import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LEFT_OUT } from '../../src/sandbox/selftest/left-out.ts';
import { PROBES } from '../../src/sandbox/selftest/probes.ts';
import type { ProbeResult } from '../../src/sandbox/selftest/selftest.ts';
import { startOwnDockerd } from './support/own-dockerd.ts';

const CLI = new URL('../../bin/keywarden.js', import.meta.url).pathname;
const NOBODY = 65534;

interface Report {
  readonly ok: boolean;
  readonly probes: readonly ProbeResult[];
}

/** The command as users run it; a user other than root needs a folder that it may write to. */
function selftest(backend: string, uid: number | null, env: Record<string, string> = {}): Report {
  const directory = mkdtempSync(join(tmpdir(), 'keywarden-selftest-'));
  if (uid !== null) chownSync(directory, uid, uid);
  const ran = spawnSync(process.execPath, [CLI, 'selftest', '--backend', backend, '--json'], {
    cwd: directory,
    env: { PATH: '/usr/bin:/bin:/usr/sbin', HOME: directory, TMPDIR: directory, ...env },
    encoding: 'utf8',
    ...(uid === null ? {} : { uid, gid: uid }),
  });
  rmSync(directory, { recursive: true, force: true });
  expect(ran.stderr).toBe('');
  return JSON.parse(ran.stdout);
}

describe('the selftest of the namespace backend', () => {
  const users = process.getuid?.() === 0 ? ([null, NOBODY] as const) : ([null] as const);
  it.each(users)('holds on this host, and every control works outside (uid %s, null is ours)', (uid) => {
    const { ok, probes } = selftest('namespace', uid);
    expect(probes.filter((probe) => !probe.ok)).toEqual([]);
    expect(probes.length).toBe(PROBES.length);
    expect(ok).toBe(true);
  });
  it('attacks a root folder, too, which has an /opt of its own', () => {
    const root = mkdtempSync(join(tmpdir(), 'keywarden-root-'));
    chmodSync(root, 0o755);
    for (const name of ['usr', 'opt']) mkdirSync(join(root, name));
    const ran = spawnSync(process.execPath, [CLI, 'selftest', '--root', root, '--row', 'B5'], { encoding: 'utf8' });
    rmSync(root, { recursive: true });
    expect(ran).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('held 1 attack') });
  });
  it('of what cannot be started at all is refused, and told as no attack that got through', () => {
    const ran = spawnSync(process.execPath, [CLI, 'selftest', '--root', '/usr/there-is-no-such-folder'], {
      encoding: 'utf8',
    });
    expect(ran).toMatchObject({ status: 125, stdout: '' });
    expect(ran.stderr).toMatch(/^keywarden: error: --root .*: there is no such folder/);
  });
  it('has a probe for every row of threats B, or says why not', () => {
    const rows = new Set(PROBES.map(({ row }) => row));
    for (const { rows: text } of LEFT_OUT) {
      for (const part of text.split(', ')) {
        const [from = 0, to = from] = part.split('-').map(Number);
        for (let row = from; row <= to; row += 1) rows.add(row);
      }
    }
    expect([...rows].sort((a, b) => a - b)).toEqual(Array.from({ length: 69 }, (_, i) => i + 1));
  });
});

describe('the selftest of the docker backend', () => {
  let dockerd: ReturnType<typeof startOwnDockerd> | undefined;
  beforeAll(() => {
    dockerd = startOwnDockerd();
  });
  afterAll(() => dockerd?.stop());
  it('holds on this host, every refusal is counted, and every control works outside', () => {
    const { ok, probes } = selftest('docker', null, { DOCKER_HOST: `unix://${dockerd?.socket}` });
    expect(probes.filter((probe) => !probe.ok)).toEqual([]);
    expect(probes.length).toBe(PROBES.length);
    expect(ok).toBe(true);
  });
});
