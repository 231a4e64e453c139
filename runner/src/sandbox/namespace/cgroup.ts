import { accessSync, constants, existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../state/private-file.ts';
import { textOf } from '../../state/text-of.ts';
import type { Limits } from '../backend.ts';

/**
 * Control groups for one session: `…/keywarden/<session>` under each hierarchy that this user may use. Version 1 has one
 * hierarchy a controller, version 2 one for all.
 */
export interface CgroupBase {
  readonly version: 1 | 2;
  readonly controllers: readonly Controller[];
  /** The folder `keywarden`, which may not exist yet. */
  readonly path: string;
}

type Controller = 'memory' | 'pids' | 'cpu';

const CONTROLLERS: readonly Controller[] = ['memory', 'pids', 'cpu'];
const ROOT = '/sys/fs/cgroup';

/** @returns the bases that this process can really write to; none where there is no delegation. */
export function cgroupBases(root: string = ROOT, self: string = textOf('/proc/self/cgroup')): CgroupBase[] {
  const v1 = CONTROLLERS.filter((name) => isWritable(join(root, name)) && existsSync(join(root, name, 'tasks'))).map(
    (name): CgroupBase => ({ version: 1, controllers: [name], path: join(root, name, 'keywarden') }),
  );
  if (v1.length > 0) return v1;
  const base = unifiedBase(root, self);
  if (base === null) return [];
  const offered = textOf(join(base, 'cgroup.controllers')).trim().split(' ');
  const controllers = CONTROLLERS.filter((name) => offered.includes(name));
  return controllers.length === 0 ? [] : [{ version: 2, controllers, path: join(base, 'keywarden') }];
}

/**
 * Version 2: the root for root; else the user's service manager's group, which systemd delegates (systemd.resource-control(5),
 * Delegate=), when this process is already below it: to move a process needs write access to the common ancestor
 * (cgroups(7), "Delegation containment").
 */
function unifiedBase(root: string, self: string): string | null {
  if (!existsSync(join(root, 'cgroup.controllers'))) return null;
  if (isWritable(join(root, 'cgroup.subtree_control'))) return root;
  const path = /^0::(\/.*)$/m.exec(self)?.[1] ?? '/';
  const delegated = /^(.*\/user@\d+\.service)(\/|$)/.exec(path)?.[1];
  if (delegated === undefined) return null;
  const base = join(root, delegated);
  return isWritable(join(base, 'cgroup.procs')) && isWritable(join(base, 'cgroup.subtree_control')) ? base : null;
}

export class Cgroups {
  readonly #bases: readonly CgroupBase[];
  readonly #session: string;

  constructor(session: string, bases: readonly CgroupBase[] = cgroupBases()) {
    this.#session = session;
    this.#bases = bases;
  }

  get paths(): string[] {
    return this.#bases.map((base) => join(base.path, this.#session));
  }

  /**
   * What a process of one thread writes `0` to, to be in them. A thread that moves itself by `tasks` needs no lock that stops
   * every fork and exec of the machine (`cgroup_threadgroup_rwsem`: 5 ms here, for RCU); version 2 has no such file for this.
   */
  get doors(): string[] {
    return this.#bases.map(({ version, path }) => join(path, this.#session, version === 1 ? 'tasks' : 'cgroup.procs'));
  }

  /** Every file and what is written to it, for a plan. */
  settings(limits: Limits): Record<string, string> {
    return Object.fromEntries(
      this.#bases.flatMap((base) =>
        settings(base, limits).map(([file, value]) => [join(base.path, this.#session, file), value]),
      ),
    );
  }

  make(limits: Limits): void {
    for (const base of this.#bases) {
      mkdirSync(base.path, { recursive: true });
      if (base.version === 2) enable(base);
      const at = join(base.path, this.#session);
      mkdirSync(at);
      for (const [file, value] of settings(base, limits)) writeSetting(join(at, file), value);
    }
  }

  /** Whether the kernel killed one for memory. */
  outOfMemory(): boolean {
    return this.paths.some((path) =>
      ['memory.oom_control', 'memory.events'].some((file) => /^oom_kill [1-9]/m.test(textOf(join(path, file)))),
    );
  }

  async remove(): Promise<void> {
    for (const path of this.paths) await removeCgroup(path);
  }
}

/** Every group of this session, wherever one may be: also one that a runner with other rights made. */
export function findCgroups(session: string, traced: readonly string[]): string[] {
  const places = [
    ...CONTROLLERS.map((name) => join(ROOT, name, 'keywarden')),
    join(ROOT, 'keywarden'),
    ...cgroupBases().map((base) => base.path),
  ];
  const paths = [...places.map((place) => join(place, session)), ...traced.filter((path) => isOurs(path, session))];
  return [...new Set(paths)].filter((path) => existsSync(path));
}

/** A lease is a file; what it names is only believed when it can be nothing else. */
const isOurs = (path: string, session: string): boolean =>
  path.startsWith(`${ROOT}/`) && path.endsWith(`/keywarden/${session}`) && !path.includes('/../');

export const pidsIn = (cgroup: string): number[] =>
  textOf(join(cgroup, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);

/** Busy until the last process in it is reaped, so tried for a while. */
export async function removeCgroup(path: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return;
      if (codeOf(error) !== 'EBUSY' || attempt >= 200) throw error;
      await sleep(Math.min(1 + attempt, 25));
    }
  }
}

function settings(base: CgroupBase, limits: Limits): [string, string][] {
  const period = 100_000;
  const quota = Math.max(1000, Math.round(limits.cpus * period));
  const memory = String(limits.memoryBytes);
  // In the group, too: bwrap, and two threads each of the supervisor (it answers notifications) and of PID 1 (the way out).
  const pids = String(limits.pids + 5);
  const all: Record<Controller, [string, string][]> =
    base.version === 1
      ? {
          // memsw bounds memory and swap together, and must not be below memory: so second. Absent without swap accounting.
          memory: [
            ['memory.limit_in_bytes', memory],
            ['memory.memsw.limit_in_bytes', memory],
          ],
          pids: [['pids.max', pids]],
          cpu: [
            ['cpu.cfs_period_us', String(period)],
            ['cpu.cfs_quota_us', String(quota)],
          ],
        }
      : {
          memory: [
            ['memory.max', memory],
            ['memory.swap.max', '0'],
          ],
          pids: [['pids.max', pids]],
          cpu: [['cpu.max', `${quota} ${period}`]],
        };
  return base.controllers.flatMap((name) => all[name]);
}

function writeSetting(path: string, value: string): void {
  if (/memsw|swap\.max/.test(path) && !existsSync(path)) return;
  writeFileSync(path, value);
}

function enable(base: CgroupBase): void {
  const wanted = base.controllers.map((name) => `+${name}`).join(' ');
  for (const at of [join(base.path, '..'), base.path]) writeFileSync(join(at, 'cgroup.subtree_control'), wanted);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
