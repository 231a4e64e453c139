import { reset } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSessions } from '../../../src/db/stops.ts';
import { stateOf } from '../../../src/sessions/state.ts';
import {
  endSession,
  findSession,
  insertSession,
  listSessions,
  markStop,
  type SessionRow,
} from '../../../src/sessions/store.ts';
import { env, migrate } from '../../support/ledger-world.ts';

beforeEach(migrate);
afterEach(reset);

const NOW = 1_800_000_000_000;
const put = async (session: string, more: Partial<SessionRow> = {}): Promise<SessionRow> => {
  const row: SessionRow = {
    session,
    agent: 'worker',
    backend: 'namespace',
    host: 'h',
    program: 'p',
    capabilities: [],
    key: { kty: 'OKP', crv: 'Ed25519', x: 'x'.repeat(43) },
    startedBy: 'op',
    startedAt: NOW,
    deadlineAt: NOW + 60_000,
    lastSeenAt: NOW,
    sequence: 0,
    counters: null,
    stopRequestedAt: null,
    stopRequestedBy: null,
    endedAt: null,
    reason: null,
    exitCode: null,
    absenceProven: null,
    receipt: null,
    receiptSha256: null,
    startNoted: false,
    endNoted: false,
    ...more,
  };
  expect(await insertSession(env.DB, row)).toBe(true);
  return row;
};
const idsOf = async (filter: object): Promise<string[]> => {
  const page = await listSessions(env.DB, { limit: 100, now: NOW, ...filter });
  if (!page.ok) throw new Error(page.error);
  return page.value.rows.map(({ session }) => session);
};
const END = {
  endedAt: NOW,
  lastSeenAt: NOW,
  reason: 'exited',
  exitCode: 0,
  absenceProven: true,
  receipt: 'r',
  receiptSha256: 's',
} as const;

describe('the list of sessions', () => {
  it('by a state has those that are shown in it, to the millisecond', async () => {
    const rows: SessionRow[] = [];
    for (const past of [-1, 60_000, 60_001])
      for (const stopRequestedAt of [null, NOW - 1])
        for (const endedAt of [null, NOW - 1])
          rows.push(await put(`ses_${rows.length}`, { deadlineAt: NOW - past, stopRequestedAt, endedAt }));
    const seen = new Set<string>();
    for (const state of ['running', 'stopping', 'lost', 'ended'] as const) {
      const expected = rows.filter((row) => stateOf(row, NOW) === state).map(({ session }) => session);
      expect((await idsOf({ state })).sort(), state).toEqual(expected.sort());
      expect(expected.length, state).toBeGreaterThan(0);
      for (const session of expected) seen.add(session);
    }
    expect(seen.size).toBe(rows.length);
  });

  it('goes on after its cursor also among those that began in one millisecond', async () => {
    for (const [i, name] of ['c', 'a', 'e', 'b', 'd'].entries())
      await put(`ses_${name}`, { startedAt: i === 0 ? NOW - 1 : NOW });
    const seen: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await listSessions(env.DB, { limit: 2, now: NOW, ...(cursor === undefined ? {} : { cursor }) });
      if (!page.ok) throw new Error(page.error);
      seen.push(...page.value.rows.map(({ session }) => session));
      if (page.value.nextCursor === null) break;
      cursor = page.value.nextCursor;
    }
    expect(seen).toEqual(['ses_e', 'ses_d', 'ses_b', 'ses_a', 'ses_c']);
  });
});

describe('what was first is kept', () => {
  it('who asked for the end, and of an ended session nobody', async () => {
    await put('ses_1');
    await markStop(env.DB, 'ses_1', 'ada', NOW + 1);
    await markStop(env.DB, 'ses_1', 'bob', NOW + 2);
    expect(await findSession(env.DB, 'ses_1')).toMatchObject({ stopRequestedBy: 'ada', stopRequestedAt: NOW + 1 });
    await put('ses_2', { endedAt: NOW });
    await markStop(env.DB, 'ses_2', 'bob', NOW + 2);
    expect(await findSession(env.DB, 'ses_2')).toMatchObject({ stopRequestedBy: null, stopRequestedAt: null });
  });

  it('the receipt; one that counted nothing leaves the figures of the last report', async () => {
    await put('ses_1', { counters: '{"a":1}' });
    expect(await endSession(env.DB, 'ses_1', { ...END, counters: null })).toBe(true);
    expect(await findSession(env.DB, 'ses_1')).toMatchObject({ receipt: 'r', counters: '{"a":1}' });
    expect(await endSession(env.DB, 'ses_1', { ...END, receipt: 'other', counters: '{}' })).toBe(false);
    expect(await findSession(env.DB, 'ses_1')).toMatchObject({ receipt: 'r', counters: '{"a":1}' });
  });
});

it('who stops everything reaches what runs, however many were lost before', async () => {
  await put('lost', { deadlineAt: NOW - 86_400_000 });
  await env.DB.exec(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
     INSERT INTO sessions SELECT 'lost' || i, agent, backend, host, program, capabilities, key, started_by, started_at, deadline_at,
       last_seen_at, sequence, counters, stop_requested_at, stop_requested_by, ended_at, reason, exit_code, absence_proven, receipt,
       receipt_sha256, start_noted, end_noted FROM n, sessions`.replaceAll(/\s+/g, ' '),
  );
  await put('runs');
  expect(await openSessions(env.DB)).toContainEqual({ session: 'runs', agent: 'worker' });
});
