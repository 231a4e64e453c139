import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { thisProcess } from '../../src/session/holder.ts';
import { type Lease, LeaseFile } from '../../src/session/lease.ts';
import { boxFolder } from '../../src/session/places.ts';
import { runnerKey } from '../../src/session/runner-key.ts';
import { makeSessionId } from '../../src/session/session-id.ts';
import { sweepLeases } from '../../src/session/sweep-leases.ts';
import { leaseOf } from './support/leases.ts';
import { labelled, plainBackend } from './support/plain-backend.ts';
import { planOf, type TestState, testState } from './support/world.ts';

const dead = { ...thisProcess(), startTime: '1' };

let here: TestState;
let gone: TestState;
beforeEach(() => {
  // Boxes lie where no other test looks.
  const memory = mkdtempSync('/dev/shm/keywarden-test-');
  vi.stubEnv('XDG_RUNTIME_DIR', memory);
  [here, gone] = [testState(), testState()];
  onTestFinished(() => {
    for (const path of [memory, here.state.path, gone.state.path]) rmSync(path, { recursive: true, force: true });
    vi.unstubAllEnvs();
  });
});

/** A session of the other state directory, whose box lies in memory. */
function lay(more: Partial<Lease> = {}): string {
  const session = makeSessionId();
  const folder = boxFolder(gone.state, session, true);
  expect(folder).not.toContain(gone.state.path);
  LeaseFile.create(gone.state, leaseOf(gone.state, { session, runner: dead, folder, ...more }), () => {});
  writeFileSync(join(folder, 'counts'), 'what a sandbox lays down');
  return session;
}
const boxOf = (session: string): string => boxFolder(gone.state, session, true);
const sweep = async () =>
  (
    await sweepLeases({
      state: here.state,
      key: () => runnerKey(here.state),
      edge: null,
      backendOf: async () => plainBackend(),
      say: () => {},
    })
  ).sessions;

describe('a session whose state directory was deleted', () => {
  it('is ended by a sweep of any other: what runs and what lies in memory', async () => {
    const session = lay();
    const plan = planOf(gone.state, { backend: plainBackend(), argv: ['/bin/sleep', '300'] });
    const spec = { ...plan.sandbox, session, deadlineAt: 0, graceMs: 0, folder: '', egressSocket: '' };
    await plainBackend().start({ ...spec, streams: { kind: 'inherit' } }, { traced: async () => {}, phase: () => {} });
    await vi.waitFor(() => expect(labelled(session)).toHaveLength(1), { timeout: 30_000 });
    gone.remove();
    expect(await sweep()).toEqual([
      { session, did: 'ended', detail: `its lease is gone (${join(gone.state.sessions, session)}): no receipt` },
    ]);
    expect([labelled(session), existsSync(boxOf(session))]).toEqual([[], false]);
    expect(readdirSync(here.state.receipts)).toEqual([]);
    expect(await sweep()).toEqual([]);
  });

  it.each<[string, Partial<Lease>]>([
    ['lives', { runner: thisProcess() }],
    ['is of another pid namespace, where nobody can look', { runner: { ...dead, pidNamespace: 'pid:[1]' } }],
  ])('is left alone while its runner %s', async (_, more) => {
    const session = lay(more);
    gone.remove();
    expect([await sweep(), existsSync(boxOf(session))]).toEqual([[], true]);
  });
});

it('a session with a lease is its own state directory’s to sweep', async () => {
  const session = lay();
  expect([await sweep(), existsSync(boxOf(session))]).toEqual([[], true]);
});

it('nor is one touched whose lease only cannot be looked at', async () => {
  const session = lay();
  const label = join(boxOf(session), 'label.json');
  // A name that is too long stands for whatever else keeps one from looking: a folder of others, a share that is away.
  const lease = join(tmpdir(), 'x'.repeat(300));
  writeFileSync(label, JSON.stringify({ lease, runner: dead, backend: 'namespace' }));
  gone.remove();
  expect([await sweep(), existsSync(boxOf(session))]).toEqual([[], true]);
});

it.each([
  ['without a label', null],
  ['with half of one', '{"lease":"/nowhere","runner":{'],
  ['of a later form', JSON.stringify({ lease: '/nowhere', runner: { id: 1 }, backend: 'namespace' })],
])('a box %s is nobody’s, and left', async (_, text) => {
  const session = lay();
  rmSync(join(boxOf(session), 'label.json'));
  if (text !== null) writeFileSync(join(boxOf(session), 'label.json'), text);
  gone.remove();
  expect([await sweep(), existsSync(boxOf(session))]).toEqual([[], true]);
});
