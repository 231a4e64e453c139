import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { NoAnswer } from '../../src/failure.ts';
import type { Backend } from '../../src/sandbox/backend.ts';
import { finishSession } from '../../src/session/finish.ts';
import { thisProcess } from '../../src/session/holder.ts';
import { type Ending, type Lease, LeaseFile } from '../../src/session/lease.ts';
import { boxFolder } from '../../src/session/places.ts';
import { pendingReceipts, writeReceipt } from '../../src/session/receipt.ts';
import { runnerKey } from '../../src/session/runner-key.ts';
import type { SessionEdge } from '../../src/session/session-edge.ts';
import { makeSessionId } from '../../src/session/session-id.ts';
import { sendPending, sweepLeases } from '../../src/session/sweep-leases.ts';
import { takeLock } from '../../src/state/lock.ts';
import { startTimeOf } from '../../src/state/process-identity.ts';
import { labelled, plainBackend } from './support/plain-backend.ts';
import { planOf, type TestState, testState } from './support/world.ts';

// The time since boot is the test's, and between two looks at what is left nothing waits.
const clock = vi.hoisted(() => ({ now: 1_000_000 }));
vi.mock('../../src/session/boot-clock.ts', async (original) => ({
  ...(await original<typeof import('../../src/session/boot-clock.ts')>()),
  bootMs: () => clock.now,
}));
vi.mock('node:timers/promises', () => ({ setTimeout: async () => {} }));
const disk = vi.hoisted(() => ({ full: false }));
vi.mock('../../src/state/lock.ts', async (original) => {
  const real = await original<typeof import('../../src/state/lock.ts')>();
  const takeLock: typeof real.takeLock = (path) => {
    if (disk.full) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    return real.takeLock(path);
  };
  return { ...real, takeLock };
});

let world: TestState;
let said: string[];
/** What the edge was asked, in its order. */
let asked: string[];
beforeEach(() => {
  world = testState();
  [said, asked] = [[], []];
});
afterEach(() => world.remove());

const edgeWith = (more: Partial<SessionEdge> = {}): SessionEdge => ({
  url: 'http://127.0.0.1:1',
  announce: async () => {},
  mint: async () => Promise.reject(new Error('not here')),
  report: async () => false,
  revoke: async (session) => void asked.push(`revoke ${session}`),
  end: async (session) => asked.push(`end ${session}`) > 0,
  ...more,
});
const away = async (): Promise<never> => Promise.reject(new NoAnswer('the edge did not answer within 10 s'));
/** One of which nothing is left, and one of which something can never be removed. */
const empty: Backend = { ...plainBackend(), sweep: async () => {}, leftovers: async () => [] };
const stuck: Backend = { ...empty, leftovers: async () => [{ kind: 'process', name: 'one that stays' }] };

const dead = { ...thisProcess(), startTime: '1' };
const leaseOf = (session: string, more: Partial<Lease> = {}): Lease => ({
  version: 1,
  session,
  agent: 'worker',
  backend: 'namespace',
  host: 'h',
  runner: dead,
  leasedAt: 1_800_000_000_000,
  deadlineAt: 1_800_000_060_000,
  deadlineBootMs: clock.now + 60_000,
  graceMs: 1_000,
  folder: boxFolder(world.state, session, false),
  traces: [],
  tokenId: 't',
  atEdge: true,
  started: planOf(world.state, { backend: plainBackend(), argv: ['x'] }).started,
  runningAt: null,
  counters: null,
  ending: null,
  ...more,
});
const lay = (more: Partial<Lease> = {}, session = makeSessionId()): LeaseFile =>
  LeaseFile.create(world.state, leaseOf(session, more), () => {});
const sweep = (backend: Backend = empty, edge: SessionEdge | null = edgeWith()) =>
  sweepLeases({
    state: world.state,
    key: () => runnerKey(world.state),
    edge,
    backendOf: async () => backend,
    say: (line) => said.push(line),
  });
const leases = (): string[] => readdirSync(world.state.sessions);
const receiptOf = (session: string) =>
  JSON.parse(readFileSync(join(world.state.receipts, `${session}.json`), 'utf8')).receipt;

describe('a sweep ends nobody else’s session (threats B 64)', () => {
  it('though its lease lies in the folder of another: that one is damaged, and no more', async () => {
    const neighbour = makeSessionId();
    const child = spawn('/bin/sleep', ['300'], { env: { PLAIN_SESSION: neighbour }, stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    await vi.waitFor(() => expect(labelled(neighbour)).toEqual([child.pid]), { timeout: 30_000 });
    const trace = { kind: 'process' as const, pid: child.pid ?? 0, startTime: startTimeOf(child.pid ?? 0) ?? '' };
    const copied = makeSessionId();
    mkdirSync(join(world.state.sessions, copied));
    const text = JSON.stringify(leaseOf(neighbour, { traces: [trace] }));
    writeFileSync(join(world.state.sessions, copied, 'lease.json'), text);
    expect((await sweep(plainBackend())).sessions).toMatchObject([{ session: copied, did: 'ended' }]);
    expect(labelled(neighbour)).toEqual([child.pid]);
    // Of the damaged one nothing is known but its name, and by that its tokens die.
    expect(asked).toEqual([`revoke ${copied}`]);
  });

  it.each<[string, object]>([
    ['of a later form', { version: 2 }],
    ['whose deadline is no time', { deadlineBootMs: null }],
    ['whose traces are no list', { traces: {} }],
    ['of an end that there is not', { ending: { reason: 'bored' } }],
  ])('a lease %s is damaged too, and not believed', async (_, more) => {
    const { session } = lay({ runner: thisProcess() }).lease;
    const text = JSON.stringify({ ...leaseOf(session), ...more });
    writeFileSync(join(world.state.sessions, session, 'lease.json'), text);
    expect((await sweep()).sessions).toMatchObject([
      { session, did: 'ended', detail: expect.stringMatching(/damaged/) },
    ]);
  });

  it('before its runner had its time: the deadline, the grace, and a quarter of a minute', async () => {
    const traces = [{ kind: 'process' as const, pid: 1, startTime: '1' }];
    const { session, deadlineBootMs } = lay({ runner: thisProcess(), graceMs: 40_000, traces }).lease;
    onTestFinished(() => void (clock.now = 1_000_000));
    clock.now = deadlineBootMs + 40_000 + 15_000;
    expect((await sweep(stuck)).sessions).toMatchObject([{ session, did: 'left_alone' }]);
    clock.now += 1;
    const swept: unknown[][] = [];
    const backend: Backend = { ...empty, sweep: async (...of) => void swept.push(of) };
    expect((await sweep(backend)).sessions).toMatchObject([{ session, did: 'killed_overdue' }]);
    expect(swept).toEqual([[session, traces, boxFolder(world.state, session, false)]]);
    // Who lives writes its receipt.
    expect([leases(), asked]).toEqual([[session], []]);
  });

  it('whose runner is in another pid namespace, where nobody sees whether it lives, before its time is over', async () => {
    const elsewhere = { ...thisProcess(), pidNamespace: 'pid:[1]', pid: 2 ** 22 + 1 };
    const whole = lay({ runner: elsewhere }).lease;
    const later = lay({ runner: elsewhere }).lease.session;
    const file = join(world.state.sessions, later, 'lease.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), version: 2 }));
    const swept = (await sweep(stuck)).sessions.toSorted((a, b) => a.session.localeCompare(b.session));
    expect(swept).toMatchObject([whole.session, later].toSorted().map((session) => ({ session, did: 'left_alone' })));
    onTestFinished(() => void (clock.now = 1_000_000));
    clock.now = whole.deadlineBootMs + whole.graceMs + 15_001;
    expect((await sweep()).sessions).toContainEqual({ session: whole.session, did: 'ended', detail: 'runner_died' });
  });

  it('and takes none for living that was killed, whose parent has not asked for its end: a container without an init, say', async () => {
    const child = spawn('python3', [
      '-uc',
      'import os, time; pid = os.fork(); pid or os._exit(0); print(pid); time.sleep(300)',
    ]);
    onTestFinished(() => void child.kill('SIGKILL'));
    const pid = Number(await new Promise((resolve) => child.stdout.once('data', resolve)));
    await vi.waitFor(() => expect(readFileSync(`/proc/${pid}/stat`, 'utf8')).toContain(') Z '));
    const { session } = lay({ runner: { ...thisProcess(), pid, startTime: startTimeOf(pid) } }).lease;
    // Nor for one that sweeps.
    const lock = join(world.state.sessions, session, 'sweep.lock');
    takeLock(lock);
    writeFileSync(lock, JSON.stringify({ ...JSON.parse(readFileSync(lock, 'utf8')), pid, start: startTimeOf(pid) }));
    expect((await sweep()).sessions).toMatchObject([{ session, did: 'ended', detail: 'runner_died' }]);
    expect(receiptOf(session)).toMatchObject({ reason: 'runner_died', written_by: 'sweeper' });
  });

  it('nor leaves its own where no lock can be written: what is left is ended, and the receipt waits for room', async () => {
    const { session } = lay().lease;
    disk.full = true;
    onTestFinished(() => void (disk.full = false));
    const swept: string[] = [];
    const backend: Backend = { ...empty, sweep: async (id) => void swept.push(id) };
    expect((await sweep(backend)).sessions).toMatchObject([
      { session, did: 'incomplete', detail: expect.stringContaining('no receipt') },
    ]);
    expect([swept, leases(), asked]).toEqual([[session], [session], []]);
    disk.full = false;
    expect((await sweep()).sessions).toMatchObject([{ session, did: 'ended' }]);
  });

  it('while another sweep is at it', async () => {
    const { session } = lay().lease;
    const unlock = takeLock(join(world.state.sessions, session, 'sweep.lock'));
    expect((await sweep(stuck)).sessions).toEqual([]);
    expect(leases()).toEqual([session]);
    unlock();
    expect((await sweep()).sessions).toMatchObject([{ session, did: 'ended' }]);
  });
});

describe('of which something stays', () => {
  it('the lease stays, and the receipt proves nothing; with the receipt written, too', async () => {
    const { session } = lay().lease;
    for (let i = 0; i < 2; i += 1) {
      expect((await sweep(stuck)).sessions).toEqual([
        { session, did: 'incomplete', detail: 'still there: process one that stays' },
      ]);
      expect(leases()).toEqual([session]);
    }
    expect(receiptOf(session)).toMatchObject({ absence: { proven: false, found: { process: 1 } } });
    expect((await sweep()).sessions).toMatchObject([{ session, did: 'ended' }]);
    expect(leases()).toEqual([]);
  });

  it('a damaged lease stays, too', async () => {
    const session = makeSessionId();
    mkdirSync(join(world.state.sessions, session));
    expect((await sweep(stuck)).sessions).toMatchObject([{ session, did: 'incomplete' }]);
    expect(leases()).toEqual([session]);
  });
});

describe('the receipts that wait', () => {
  const waiting = (session = makeSessionId()): string => {
    writeReceipt(world.state, { session_id: session } as never, 'a.b.c', true);
    return session;
  };

  it('are sent when the tokens are dead, and are not asked of an edge that is away, one after the other', async () => {
    const sessions = [waiting(), waiting()].sort();
    const tools = {
      state: world.state,
      say: () => {},
      edge: edgeWith({ revoke: async (s) => (asked.push(s) > 0 ? away() : undefined) }),
    };
    expect(await sendPending(tools)).toEqual({ receiptsSent: [], receiptsWaiting: expect.arrayContaining(sessions) });
    expect(asked).toHaveLength(1);
    asked = [];
    expect(
      (await sendPending({ state: world.state, edge: edgeWith(), say: () => {} })).receiptsSent.toSorted(),
    ).toEqual(sessions);
    expect(asked.sort()).toEqual(['end', 'revoke'].flatMap((did) => sessions.map((session) => `${did} ${session}`)));
    expect(pendingReceipts(world.state)).toEqual([]);
  });

  it('one that is damaged, or a mark without one, keeps no other from being sent', async () => {
    const [damaged, bare, whole] = [makeSessionId(1), makeSessionId(2), waiting(makeSessionId(3))];
    for (const session of [damaged, bare]) writeFileSync(join(world.state.receipts, `${session}.pending`), '');
    writeFileSync(join(world.state.receipts, `${damaged}.json`), '');
    expect(await sendPending({ state: world.state, edge: edgeWith(), say: () => {} })).toEqual({
      receiptsSent: [whole],
      receiptsWaiting: expect.arrayContaining([damaged, bare]),
    });
    expect(asked).toEqual([`revoke ${whole}`, `end ${whole}`]);
    expect(pendingReceipts(world.state).sort()).toEqual([damaged, bare]);
  });
});

describe('the end of a session', () => {
  const ENDING: Ending = { reason: 'exited', at: 1_800_000_001_000, exit: null, durationMs: 1 };
  const finish = (file: LeaseFile, edge: SessionEdge | null, keepLease = false) =>
    finishSession(file, ENDING, {
      state: world.state,
      key: runnerKey(world.state),
      edge,
      backends: [empty],
      observe: () => {},
      say: (line) => said.push(line),
      writtenBy: 'runner',
      keepLease,
    });

  it('waits once for an edge that does not answer, and its receipt waits for the edge', async () => {
    const file = lay();
    const result = await finish(file, edgeWith({ revoke: away }));
    expect(result).toMatchObject({ sent: false, revoked: false, receipt: { token: { revoked: false } } });
    expect([asked, pendingReceipts(world.state), leases()]).toEqual([[], [file.lease.session], []]);
    expect(said.join()).toMatch(/waits for the edge: the edge did not answer.*; keywarden sweep sends it/);
  });

  it('by who knows of no edge, as a run without one: the next sweep that has one revokes, and sends the receipt', async () => {
    const file = lay();
    expect((await sweep(empty, null)).sessions).toMatchObject([{ session: file.lease.session, did: 'ended' }]);
    expect([pendingReceipts(world.state), leases()]).toEqual([[file.lease.session], []]);
    expect(await sweep()).toMatchObject({ sessions: [], receiptsSent: [file.lease.session], receiptsWaiting: [] });
    expect(asked).toEqual([`revoke ${file.lease.session}`, `end ${file.lease.session}`]);
  });

  it('leaves its lease to the next sweep while something may still come of it', async () => {
    const file = lay();
    expect(await finish(file, edgeWith(), true)).toMatchObject({ sent: true, receipt: { absence: { proven: true } } });
    expect(leases()).toEqual([file.lease.session]);
    expect((await sweep()).sessions).toMatchObject([{ did: 'ended', detail: 'its receipt was written before' }]);
    expect(leases()).toEqual([]);
  });

  it('revokes though its lease knows of no token: one may have been minted just before its runner was killed', async () => {
    const file = lay({ tokenId: null });
    expect((await sweep()).sessions).toMatchObject([{ session: file.lease.session, did: 'ended' }]);
    expect(asked).toEqual([`revoke ${file.lease.session}`, `end ${file.lease.session}`]);
  });

  it('is told to no edge that never knew of it', async () => {
    const file = lay({ atEdge: false, tokenId: null });
    expect(await finish(file, edgeWith())).toMatchObject({ sent: null, revoked: false, receipt: { token: null } });
    expect([asked, pendingReceipts(world.state)]).toEqual([[], []]);
  });

  it('is told, and not offered again, when the edge will never take its receipt', async () => {
    const file = lay();
    expect(await finish(file, edgeWith({ end: async () => false }))).toMatchObject({ sent: true, revoked: true });
    expect([pendingReceipts(world.state), leases()]).toEqual([[], []]);
    expect(said).toEqual([`the edge will not take the receipt of ${file.lease.session}; it is kept here`]);
  });

  it('keeps its lease when the receipt is nowhere, and gives it back when the edge has it', async () => {
    for (const [edge, kept] of [
      [edgeWith({ end: away }), true],
      [edgeWith(), false],
    ] as const) {
      const file = lay();
      mkdirSync(join(world.state.receipts, `${file.lease.session}.json`));
      await finish(file, edge);
      expect(leases()).toEqual(kept ? [file.lease.session] : []);
      // The mark that it is to be sent comes first: no receipt was ever written that nobody sends.
      expect(pendingReceipts(world.state)).toContain(file.lease.session);
      file.remove();
    }
    expect(said.join('\n')).toMatch(/the receipt cannot be written/);
  });
});
