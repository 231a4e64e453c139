import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SessionJson, SessionListResponse } from '../../src/protocol.ts';
import { type FakeEdge, startFakeEdge } from '../support/fake-edge.ts';
import { keywarden } from './command-line.ts';

let edge: FakeEdge;
beforeAll(async () => {
  edge = await startFakeEdge();
});
afterAll(() => edge.stop());

const session: SessionJson = {
  session_id: 'ses_01m8e637av5f2fny8yne7912t9',
  agent_id: 'demo',
  backend: 'namespace',
  host: 'runner-1',
  program: 'python3',
  state: 'ended',
  capabilities: ['bank:read'],
  started_by: 'local',
  started_at: '2026-11-27T03:44:00.000Z',
  deadline_at: '2026-11-27T03:59:00.000Z',
  last_seen_at: '2026-11-27T03:44:09.000Z',
  ended_at: '2026-11-27T03:44:09.000Z',
  reason: 'exited',
  exit_code: 0,
  absence_proven: true,
  denied: 0,
  observed: 0,
  blocked: 0,
  dropped: 0,
  sources: ['seccomp-notify'],
  stop_requested_at: null,
  stop_requested_by: null,
  receipt_sha256: null,
};
const list = async (page: SessionListResponse, ...args: string[]) => {
  edge.answer('/v1/sessions', page);
  return keywarden(['sessions', 'list', ...args], { env: edge.env });
};

it('that there are older sessions is said, and --json gives their cursor', async () => {
  const cut = { sessions: [session], next_cursor: 'abc' };
  const shown = await list(cut, '--limit', '1');
  expect(shown.stderr).toContain('there are older sessions: narrow it, or add --cursor abc');
  expect(JSON.parse((await list(cut, '--limit', '1', '--json')).stdout)).toMatchObject({ next_cursor: 'abc' });
});

it('nothing is said of older ones when these are all', async () => {
  const shown = await list({ sessions: [session], next_cursor: null });
  expect(shown.stdout).toContain(session.session_id);
  expect(shown.stderr).not.toContain('older');
});

it.each([
  ['none, when nothing counted', { denied: 0, sources: [] }, /0 +0 +0 +0 +none/],
  ['not known, before the first numbers came', { denied: null, sources: [] }, /- +0 +0 +0 +-/],
  ['what counted', { denied: 0 }, /0 +0 +0 +0 +seccomp-notify/],
])('the sources of a session are %s', async (_, more, row) => {
  expect((await list({ sessions: [{ ...session, ...more }], next_cursor: null })).stdout).toMatch(row);
});
