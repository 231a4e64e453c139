import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Backend, Leftover } from '../../src/sandbox/backend.ts';
import { leftovers, sweep } from '../../src/sandbox/namespace/leftovers.ts';
import { mountsBelow } from '../../src/sandbox/session-folder.ts';
import { removeAndProve } from '../../src/session/absence.ts';

// Between two looks nothing waits here: what is looked for is not of this machine.
vi.mock('node:timers/promises', () => ({ setTimeout: async () => {} }));

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'keywarden-absence-'));
  folder = join(root, 'box');
  mkdirSync(join(folder, 'deep'), { recursive: true });
  writeFileSync(join(folder, 'deep', 'file'), '');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A backend that finds at each look what the test says, the last of it for ever. */
function finding(name: Backend['name'], looks: readonly (readonly Leftover[] | Error)[]) {
  const did = { sweeps: 0, looks: 0 };
  const backend = {
    name,
    sweep: async () => {
      did.sweeps += 1;
      throw new Error('a sweep that fails');
    },
    leftovers: async () => {
      const found = looks[Math.min(did.looks++, looks.length - 1)];
      if (found instanceof Error) throw found;
      return found;
    },
  } as unknown as Backend;
  return { backend, did };
}
const processCalled = (name: string): Leftover => ({ kind: 'process', name });

it('what the last look finds is stated, whatever was found or failed before; the folder is gone', async () => {
  const { backend, did } = finding('namespace', [[processCalled('1')], new Error('away'), []]);
  const { stated, left } = await removeAndProve([backend], 'ses', [], folder);
  expect({ proven: stated.proven, left, sweeps: did.sweeps }).toEqual({ proven: true, left: [], sweeps: 3 });
  expect(Object.values(stated.found).every((count) => count === 0)).toBe(true);
  expect(existsSync(folder)).toBe(false);
});

it('what stays is counted by its kind, and a look that fails has proved nothing', async () => {
  const blind = finding('docker', [new Error('the engine is away')]);
  const seeing = finding('namespace', [[processCalled('1'), processCalled('2'), { kind: 'cgroup', name: 'c' }]]);
  const { stated, left } = await removeAndProve([blind.backend, seeing.backend], 'ses', [], folder);
  expect(stated).toMatchObject({ proven: false, found: { container: 1, process: 2, cgroup: 1, file: 0 } });
  expect(left[0]?.name).toContain('the engine is away');
});

it('a link in the place of the folder goes, and what it leads to stays: that is not of the session', async () => {
  const theirs = join(root, 'theirs');
  mkdirSync(theirs);
  writeFileSync(join(theirs, 'file'), '');
  rmSync(folder, { recursive: true });
  symlinkSync(theirs, folder);
  const { stated } = await removeAndProve([], 'ses', [], folder);
  expect(stated.proven).toBe(true);
  expect(existsSync(folder)).toBe(false);
  expect(readdirSync(theirs)).toEqual(['file']);
});

it('only what is mounted in the folder itself is mounted there, whatever its name', () => {
  expect(mountsBelow('/proc')).toContain('/proc');
  expect(mountsBelow('/pro')).toEqual([]);
  expect(mountsBelow('/')).toEqual(['/']);
});

it.skipIf(process.getuid?.() !== 0)('a folder that is empty and cannot be removed is something left', async () => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
  try {
    const { stated, left } = await removeAndProve([], 'ses', [], folder);
    expect(stated).toMatchObject({ proven: false, found: { file: 1 } });
    expect(left).toEqual([{ kind: 'file', name: folder }]);
  } finally {
    execFileSync('umount', [folder]);
  }
});

it.skipIf(process.getuid?.() !== 0)(
  'what is mounted in the folder is not reached through: nothing of it is removed, and it is found',
  async () => {
    const mounted = join(folder, 'of somebody\n\\else');
    mkdirSync(mounted);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', mounted]);
    try {
      writeFileSync(join(mounted, 'theirs'), '');
      expect(mountsBelow(folder)).toEqual([mounted]);
      const { stated } = await removeAndProve([], 'ses', [], folder);
      expect(stated).toMatchObject({ proven: false, found: { file: 2 } });
      expect(readdirSync(mounted)).toEqual(['theirs']);

      const namespace = {
        name: 'namespace',
        leftovers: async () => leftovers('ses', [], folder),
        sweep,
      } as unknown as Backend;
      const { left } = await removeAndProve([namespace], 'ses', [], folder);
      expect(readdirSync(mounted)).toEqual(['theirs']);
      expect(left).toContainEqual({ kind: 'mount', name: mounted });
    } finally {
      execFileSync('umount', [mounted]);
    }
  },
);
