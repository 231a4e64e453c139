import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootMs } from '../../src/session/boot-clock.ts';
import { stateOfHolder, thisProcess } from '../../src/session/holder.ts';
import { type Lease, LeaseFile, listLeases, readLease } from '../../src/session/lease.ts';
import { boxFolder, makeBox } from '../../src/session/places.ts';
import { pendingReceipts } from '../../src/session/receipt.ts';
import { runSession } from '../../src/session/run-session.ts';
import { runnerKey } from '../../src/session/runner-key.ts';
import { runnerStateAt } from '../../src/session/runner-state.ts';
import { makeSessionId } from '../../src/session/session-id.ts';
import { sweepLeases } from '../../src/session/sweep-leases.ts';
import { leaseOf as ofState } from './support/leases.ts';
import { labelled, plainBackend } from './support/plain-backend.ts';
import { planOf, type TestState, testState, toolsOf } from './support/world.ts';

let world: TestState;
beforeEach(() => {
  world = testState();
});
afterEach(() => world.remove());

const leaseOf = (session: string, more: Partial<Lease> = {}): Lease => ofState(world.state, { session, ...more });
const sweep = () =>
  sweepLeases({
    state: world.state,
    key: () => runnerKey(world.state),
    edge: null,
    backendOf: async () => plainBackend(),
    say: () => {},
  });

describe('a lease', () => {
  it('is private, whole, and gone without a trace', () => {
    const session = makeSessionId();
    const file = LeaseFile.create(world.state, leaseOf(session), () => {});
    expect(statSync(join(world.state.sessions, session)).mode & 0o777).toBe(0o700);
    expect(statSync(join(world.state.sessions, session, 'lease.json')).mode & 0o777).toBe(0o600);
    file.update({ tokenId: 't' });
    expect(readLease(world.state, session)?.tokenId).toBe('t');
    file.remove();
    expect(readdirSync(world.state.sessions)).toEqual([]);
  });

  it.skipIf(process.getuid?.() !== 0)('is refused on a full disk, and nothing is begun', async () => {
    const mount = mkdtempSync(join(tmpdir(), 'keywarden-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', mount]);
    try {
      const state = runnerStateAt(mount);
      for (const dir of [state.sessions, state.receipts]) mkdirSync(dir);
      const tools = { ...toolsOf(world.state, null), state };
      try {
        writeFileSync(join(mount, 'filler'), Buffer.alloc(65_536));
      } catch {
        // As full as it gets.
      }
      const plan = planOf(state, { backend: plainBackend(), argv: ['/bin/true'] });
      await expect(runSession(plan, tools)).rejects.toThrow(/lease of the session cannot be written/);
      expect(readdirSync(state.sessions)).toEqual([]);
    } finally {
      execFileSync('umount', [mount]);
      rmSync(mount, { recursive: true });
    }
  });

  it('a disk that fills up in mid-life: the session ends, nothing of it is left, the lease waits for a receipt', async () => {
    const plan = planOf(world.state, { backend: plainBackend(), argv: ['/bin/sleep', '0.2'] });
    const tools = toolsOf(world.state, null, {
      observe: (step) => {
        // A file where the folder was: nothing can be written there any more, by root either.
        if (step === 'running') {
          rmSync(world.state.receipts, { recursive: true });
          writeFileSync(world.state.receipts, '');
        }
      },
    });
    const result = await runSession(plan, tools);
    expect(result.receipt.absence.proven).toBe(true);
    expect(labelled(plan.session)).toEqual([]);
    expect(readdirSync(world.state.sessions)).toEqual([plan.session]);
    rmSync(world.state.receipts);
    mkdirSync(world.state.receipts);
    // The runner is this process, which lives: pretend it died.
    const lease = readLease(world.state, plan.session);
    if (lease !== null) LeaseFile.open(world.state, lease).update({ runner: { ...lease.runner, startTime: '1' } });
    expect((await sweep()).sessions).toMatchObject([{ session: plan.session, did: 'ended', detail: 'exited' }]);
    expect(readdirSync(world.state.sessions)).toEqual([]);
  });
});

describe('whose runner is dead', () => {
  it('a reused pid is not the runner (threats B 64)', () => {
    expect(stateOfHolder(thisProcess())).toBe('alive');
    expect(stateOfHolder({ ...thisProcess(), startTime: '1' })).toBe('dead');
    expect(stateOfHolder({ ...thisProcess(), pid: 2 ** 22 })).toBe('dead');
    expect(stateOfHolder({ ...thisProcess(), bootId: 'of-before' })).toBe('rebooted');
    expect(stateOfHolder({ ...thisProcess(), pidNamespace: 'pid:[1]' })).toBe('elsewhere');
  });

  it('after a restart of the host, a pid that is another one now is not touched', async () => {
    const session = makeSessionId();
    // This very process stands in the lease as a trace, as a pid of before the restart may name anybody now.
    const self = { kind: 'process' as const, pid: process.pid, startTime: thisProcess().startTime ?? '' };
    LeaseFile.create(
      world.state,
      leaseOf(session, { runner: { ...thisProcess(), bootId: 'before' }, traces: [self] }),
      () => {},
    );
    expect((await sweep()).sessions).toEqual([{ session, did: 'ended', detail: 'host_restarted' }]);
  });

  it('a runner of another pid namespace has its time, and no more', async () => {
    const elsewhere = { ...thisProcess(), pidNamespace: 'pid:[1]' };
    const [fresh, old] = [makeSessionId(), makeSessionId()];
    LeaseFile.create(world.state, leaseOf(fresh, { runner: elsewhere }), () => {});
    LeaseFile.create(world.state, leaseOf(old, { runner: elsewhere, deadlineBootMs: bootMs() - 60_000 }), () => {});
    const { sessions } = await sweep();
    expect(sessions.find((s) => s.session === fresh)?.did).toBe('left_alone');
    expect(sessions.find((s) => s.session === old)?.did).toBe('ended');
  });

  it.each([
    ['forward', -7 * 86_400_000],
    ['back', 7 * 86_400_000],
  ])('a wall clock that was set %s neither ends nor keeps a neighbour', async (_, passed) => {
    // As a runner that lives wrote it before the clock was set: its wall deadline says nothing now, its own does.
    const [fresh, late] = [makeSessionId(), makeSessionId()];
    const deadlineAt = Date.now() + passed;
    LeaseFile.create(world.state, leaseOf(fresh, { deadlineAt }), () => {});
    LeaseFile.create(world.state, leaseOf(late, { deadlineAt, deadlineBootMs: bootMs() - 60_000 }), () => {});
    const { sessions } = await sweep();
    expect(sessions.find(({ session }) => session === fresh)?.did).toBe('left_alone');
    expect(sessions.find(({ session }) => session === late)?.did).toBe('killed_overdue');
  });

  it('a damaged lease is swept by its name alone; a living draft is left alone, a dead one removed', async () => {
    const session = makeSessionId();
    mkdirSync(join(world.state.sessions, session));
    writeFileSync(join(world.state.sessions, session, 'lease.json'), '{"version":1,');
    const { startTime } = thisProcess();
    const living = `.new-${makeSessionId()}-${process.pid}-${startTime}`;
    const dead = `.new-${makeSessionId()}-${process.pid}-1`;
    for (const name of [living, dead]) mkdirSync(join(world.state.sessions, name));
    expect(
      listLeases(world.state)
        .map(({ kind }) => kind)
        .sort(),
    ).toEqual(['damaged', 'draft']);
    await sweep();
    expect(readdirSync(world.state.sessions)).toEqual([living]);
  });

  it('names that are no session are never touched', async () => {
    for (const name of ['ses_x', '..', 'mine', 'ses_0123456789abcdefghijklmnop.bak'])
      if (name !== '..') mkdirSync(join(world.state.sessions, name));
    writeFileSync(join(world.state.receipts, 'mine.pending'), '');
    await sweep();
    expect(readdirSync(world.state.sessions)).toHaveLength(3);
    expect(pendingReceipts(world.state)).toEqual([]);
  });
});

it('a folder too deep for a unix socket is put where one fits', () => {
  const deep = runnerStateAt(join(world.state.path, 'x'.repeat(80)));
  const session = makeSessionId();
  const folder = boxFolder(deep, session, false);
  expect(folder.length).toBeLessThan(90);
  expect(folder.endsWith(session)).toBe(true);
  makeBox(folder);
  expect(statSync(join(folder, '..')).mode & 0o777).toBe(0o700);
  rmSync(folder, { recursive: true });
});

it('a box in memory is private, and not in a folder that somebody else made first', () => {
  const memory = '/dev/shm';
  const session = makeSessionId();
  const folder = boxFolder(world.state, session, true);
  expect(folder).toBe(`${memory}/keywarden-${process.getuid?.()}/${session}`);
  makeBox(folder);
  expect(statSync(join(folder, '..')).mode & 0o777).toBe(0o700);
  expect(() => makeBox(folder)).toThrow(/EEXIST/);
  rmSync(folder, { recursive: true });
  expect(boxFolder(world.state, session, false)).toBe(join(world.state.sessions, session, 'box'));
});

it('ids sort by birth and are never the same', () => {
  const ids = Array.from({ length: 1000 }, (_, i) => makeSessionId(1_700_000_000_000 + i));
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(1000);
  expect(ids.every((id) => /^ses_[0-9a-z]{26}$/.test(id))).toBe(true);
});
