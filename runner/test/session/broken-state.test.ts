import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { start } from '../../../test/support/process.ts';
import { Failure, Refusal } from '../../src/failure.ts';
import type { BackendName } from '../../src/sandbox/backend.ts';
import { thisProcess } from '../../src/session/holder.ts';
import { LeaseFile, listLeases } from '../../src/session/lease.ts';
import { pendingReceipts } from '../../src/session/receipt.ts';
import { runSession } from '../../src/session/run-session.ts';
import { runnerKey } from '../../src/session/runner-key.ts';
import { openRunnerState, type RunnerState, runnerStateAt } from '../../src/session/runner-state.ts';
import type { SessionEdge } from '../../src/session/session-edge.ts';
import { makeSessionId } from '../../src/session/session-id.ts';
import { sweepLeases } from '../../src/session/sweep-leases.ts';
import { writePrivateFile } from '../../src/state/private-file.ts';
import { keywarden, type Said } from './support/command.ts';
import { leaseOf } from './support/leases.ts';
import { plainBackend } from './support/plain-backend.ts';
import { planOf, type TestState, testState, toolsOf } from './support/world.ts';

/** A state directory in which things are not as we left them. */
const ROOT = process.getuid?.() === 0;
const MAKER = fileURLToPath(new URL('support/lease-maker.ts', import.meta.url));
const DEAD = { ...thisProcess(), startTime: '1' };

let world: TestState;
let said: string[];
beforeEach(() => {
  world = testState();
  said = [];
});
afterEach(() => world.remove());

const folderOf = (session: string): string => join(world.state.sessions, session);
const sweep = (edge: SessionEdge | null = null, state: RunnerState = world.state, without: BackendName | null = null) =>
  sweepLeases({
    state,
    key: () => runnerKey(state),
    edge,
    backendOf: async (name) => {
      if (name === without) throw new Failure(`no ${name} here`);
      return plainBackend();
    },
    say: (line) => said.push(line),
  });
/** An edge that takes everything, or cannot. */
const edgeThat = (fails: (session: string) => Failure | null = () => null): SessionEdge & { ended: string[] } => {
  const ended: string[] = [];
  const perhaps = async (session: string): Promise<void> => {
    const why = fails(session);
    if (why !== null) throw why;
  };
  return {
    ended,
    url: 'http://127.0.0.1:9',
    announce: async () => {},
    mint: () => Promise.reject(new Error('not asked')),
    report: async () => false,
    revoke: perhaps,
    async end(session) {
      await perhaps(session);
      ended.push(session);
      return true;
    },
  };
};

describe.skipIf(!ROOT)('on a disk with little room', () => {
  let disk: string;
  beforeEach(() => {
    disk = mkdtempSync(join(tmpdir(), 'keywarden-little-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]);
  });
  afterEach(() => {
    execFileSync('umount', [disk]);
    rmSync(disk, { recursive: true });
  });
  /** Leaves room for so many pages: then a write takes that much of what it is given, and calls it a success. */
  const leave = (pages: number): void => {
    const filler = join(disk, 'filler');
    const page = Buffer.alloc(4096);
    writeFileSync(filler, '');
    let size = 0;
    try {
      for (; ; size += 1) writeFileSync(filler, page, { flag: 'a' });
    } catch {
      execFileSync('truncate', ['-s', String((size - pages) * 4096), filler]);
    }
  };

  it('a file is whole or not there, never cut', () => {
    leave(2);
    expect(() => writePrivateFile(join(disk, 'receipt'), 'x'.repeat(12_000))).toThrow(/ENOSPC/);
    expect(readdirSync(disk)).toEqual(['filler']);
  });

  it('so is a lease: nothing is started without a whole one', () => {
    const state = runnerStateAt(join(disk, 's'));
    openRunnerState(state);
    const lease = leaseOf(state, { agent: 'a'.repeat(12_000) });
    leave(3);
    expect(() => LeaseFile.create(state, lease, () => {})).toThrow(/lease of the session cannot be written: ENOSPC/);
    expect(readdirSync(state.sessions)).toEqual([]);
  });

  it('or that becomes read-only: the exit code is kept, and the lease stays for a sweep', async () => {
    const state = runnerStateAt(join(disk, 's'));
    openRunnerState(state);
    const again = (how: string) => execFileSync('mount', ['-o', `remount,${how}`, disk]);
    const plan = planOf(state, { backend: plainBackend(), argv: ['/bin/sh', '-c', 'exit 7'] });
    const result = await runSession(
      plan,
      toolsOf(state, null, {
        observe: (step) => void (step === 'receipt_written' && again('ro')),
        say: (line) => said.push(line),
      }),
    );
    again('rw');
    expect(result).toMatchObject({ exit: { code: 7 }, left: [] });
    expect(said.join()).toMatch(/lease of ses_\w+ cannot be removed: EROFS/);
    expect(readdirSync(state.sessions)).toEqual([plan.session]);
  });
});

describe('what stands in the place of our files', () => {
  const pipe = (path: string): void => void execFileSync('mkfifo', ['-m', '600', path]);
  const places: [string, (session: string) => void][] = [
    ['a pipe for a lease', (session) => pipe(join(folderOf(session), 'lease.json'))],
    ['an endless device for a lease', (session) => symlinkSync('/dev/zero', join(folderOf(session), 'lease.json'))],
    ['a folder for a lease', (session) => mkdirSync(join(folderOf(session), 'lease.json'))],
    ['a pipe for the lock of a sweep', (session) => pipe(join(folderOf(session), 'sweep.lock'))],
  ];

  it.each(places)('%s keeps nobody waiting, and is swept', async (_, lay) => {
    const session = makeSessionId();
    mkdirSync(folderOf(session));
    lay(session);
    const ran = await soon(['run', '--no-edge', '--quiet', '--state', world.state.path, '--', 'true']);
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(readdirSync(world.state.sessions)).toEqual([]);
  });

  it('a pipe for the key is refused, saying what it is', async () => {
    pipe(world.state.keyFile);
    const ran = await soon(['run', '--no-edge', '--quiet', '--state', world.state.path, '--', 'true']);
    expect(ran).toMatchObject({ code: 125, err: expect.stringMatching(/runner\.jwk: it is no file/) });
  });

  it('a link in the place of a session leads nowhere', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'keywarden-elsewhere-'));
    mkdirSync(join(elsewhere, 'box'));
    try {
      symlinkSync(elsewhere, folderOf(makeSessionId()));
      expect((await sweep()).sessions).toEqual([]);
      expect(readdirSync(elsewhere)).toEqual(['box']);
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });
});

describe('a lease', () => {
  it('of a newer keywarden whose runner lives is not ours to end; of a dead one it is', async () => {
    const [living, dead] = [makeSessionId(1), makeSessionId(2)];
    for (const [session, runner] of [
      [living, thisProcess()],
      [dead, DEAD],
    ] as const) {
      mkdirSync(folderOf(session));
      writeFileSync(join(folderOf(session), 'lease.json'), JSON.stringify({ version: 2, session, runner }));
    }
    const { sessions } = await sweep();
    expect(sessions).toMatchObject([
      { session: living, did: 'left_alone' },
      { session: dead, did: 'ended' },
    ]);
    expect(readdirSync(world.state.sessions)).toEqual([living]);
  });

  it.skipIf(!ROOT)('of another user is theirs: neither ended nor revoked, and it keeps nobody', async () => {
    const session = makeSessionId();
    LeaseFile.create(world.state, leaseOf(world.state, { session }), () => {});
    const uid = 65_534;
    for (const path of [world.state.path, world.state.sessions, world.state.receipts]) chownSync(path, uid, uid);
    const swept = await soon(['sweep', '--json', '--state', world.state.path], uid);
    expect(JSON.parse(swept.out).sessions, swept.err).toMatchObject([{ session, did: 'left_alone' }]);
    expect(swept.code).toBe(0);
    expect(readdirSync(folderOf(session))).toContain('lease.json');
  });

  it('that is given back is gone at once: a sweep beside it sees no damaged one, and does not keep it', async () => {
    const maker = start(process.execPath, [MAKER, world.state.path, '50']);
    let [over, seen] = [false, 0];
    const ended = maker.ended.finally(() => {
      over = true;
    });
    while (!over) {
      for (const { kind } of listLeases(world.state)) seen += Number(kind === 'damaged');
      await sweep();
      // Else nothing else of this process has its turn where there is nothing to wait for.
      await new Promise(setImmediate);
    }
    expect(await ended, maker.output()).toMatchObject({ code: 0 });
    expect(seen).toBe(0);
    expect(readdirSync(world.state.sessions)).toEqual([]);
  });

  it('that cannot be swept now keeps none of the others', async () => {
    const [first, second] = [makeSessionId(1), makeSessionId(2)];
    LeaseFile.create(world.state, leaseOf(world.state, { session: first, backend: 'docker', runner: DEAD }), () => {});
    LeaseFile.create(world.state, leaseOf(world.state, { session: second, runner: DEAD }), () => {});
    expect((await sweep(null, world.state, 'docker')).sessions).toEqual([
      { session: first, did: 'incomplete', detail: 'no docker here' },
      { session: second, did: 'ended', detail: 'runner_died' },
    ]);
    // A damaged one is looked for with what there is.
    writeFileSync(join(folderOf(first), 'lease.json'), '{');
    expect((await sweep(null, world.state, 'docker')).sessions).toMatchObject([{ session: first, did: 'ended' }]);
  });
});

describe('receipts that wait', () => {
  const receipts = async (count: number): Promise<string[]> => {
    const away = edgeThat(() => new Failure('the edge cannot be reached'));
    const plans = Array.from({ length: count }, () =>
      planOf(world.state, { backend: plainBackend(), argv: ['/bin/true'] }),
    );
    for (const plan of plans) await runSession(plan, toolsOf(world.state, away));
    return plans.map(({ session }) => session);
  };
  const cut = (session: string): void => writeFileSync(join(world.state.receipts, `${session}.json`), '{"receipt":');

  it.each<[string, (session: string) => void, (session: string) => Failure | null, RegExp]>([
    ['a damaged one', cut, () => null, /cannot be sent: .* holds no receipt/],
    [
      'one open to others',
      (s) => chmodSync(join(world.state.receipts, `${s}.json`), 0o644),
      () => null,
      /is open to others/,
    ],
    [
      'one that the edge refuses',
      () => {},
      (s) => new Refusal('receipt_odd', `the edge refuses ${s}`),
      /waits: the edge refuses/,
    ],
  ])('%s keeps none of the others, and is told', async (_, spoil, refuses, told) => {
    const [bad = '', good = ''] = (await receipts(2)).sort();
    spoil(bad);
    const edge = edgeThat((session) => (session === bad ? refuses(session) : null));
    const swept = await sweep(edge);
    expect(edge.ended).toEqual([good]);
    expect(swept).toMatchObject({ receiptsSent: [good], receiptsWaiting: [bad] });
    expect(said.join('\n')).toMatch(told);
    expect(pendingReceipts(world.state)).toEqual([bad]);
  });
});

/** The real command, ended when it does not end by itself. */
function soon(args: readonly string[], uid?: number): Promise<Said> {
  return keywarden(args, {
    ...(uid === undefined ? {} : { uid }),
    started: (child) => void setTimeout(() => child.kill('SIGKILL'), 30_000).unref(),
  });
}
