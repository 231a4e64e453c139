import { reset } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  insertScreenAlert,
  listAlerts,
  markDelivered,
  readFigures,
  readMeasures,
  takeUndelivered,
} from '../../../src/db/signals.ts';
import type { Edge } from '../../../src/edge.ts';
import type { SignalAlert } from '../../../src/protocol.ts';
import { watchSignals } from '../../../src/signals/watch.ts';
import { env, events, ledgerOf, migrate } from '../../support/ledger-world.ts';

beforeEach(migrate);
afterEach(reset);

const NOW = 1_800_000_000_000;
const MINUTE = 60_000;
const edge = {
  signals: { windowMinutes: 5, credentialPaths: 1, rejections: 2, screenAlerts: 3, sessionMinutes: 10 },
} as Edge;
const seen = (report: string, more: { at?: number; count?: number; session?: string; agent?: string } = {}) =>
  insertScreenAlert(env.DB, { session: 's', report, agent: 'a', rule: 'r', count: 1, at: NOW, ...more });
const alerts = (): Promise<SignalAlert[]> => listAlerts(env.DB, 0, null);
const watch = (now: number): Promise<void> => watchSignals(env, edge, now);

describe('an alert', () => {
  it('stands while the window reaches the threshold, is one row of the chain, and comes anew after it was cleared', async () => {
    for (const report of ['1', '2']) await seen(report);
    await watch(NOW);
    expect(await alerts()).toEqual([]);
    await seen('3', { at: NOW + MINUTE });
    for (const at of [NOW + MINUTE, NOW + 2 * MINUTE, NOW + 5 * MINUTE]) await watch(at);
    expect(await alerts()).toMatchObject([{ signal: 'screen_alerts', agent: 'a', value: 3, cleared_at: null }]);
    // What is older than the window counts no more.
    await watch(NOW + 5 * MINUTE + 1);
    expect(await alerts()).toMatchObject([{ cleared_at: new Date(NOW + 5 * MINUTE + 1).toISOString() }]);
    await seen('4', { at: NOW + 60 * MINUTE, count: 7 });
    await watch(NOW + 60 * MINUTE);
    expect(await alerts()).toMatchObject([{ value: 7, cleared_at: null }, { value: 3 }]);
    await ledgerOf('a').flush();
    expect(await events()).toEqual(['signal.raised', 'signal.raised']);
  });

  it('is of its own agent alone', async () => {
    await seen('1', { count: 2 });
    await seen('1', { count: 2, session: 't', agent: 'b' });
    await watch(NOW);
    expect(await alerts()).toEqual([]);
  });
});

describe('a report of a screen', () => {
  it('counts once, however often it comes, and a session has a thousand of them', async () => {
    expect(await seen('1', { count: 2 })).toBe(true);
    expect(await seen('1', { count: 9 })).toBe(false);
    expect(await readMeasures(env.DB, NOW, NOW)).toEqual([{ signal: 'screen_alerts', agent: 'a', value: 2 }]);
    const rows = Array.from({ length: 998 }, (_, i) => `('s', 'n${i}', 'a', 'r', 1, ${NOW})`).join();
    await env.DB.exec(`INSERT INTO screen_alerts (session, report, agent, rule, count, at) VALUES ${rows}`);
    expect([await seen('last'), await seen('too many'), await seen('x', { session: 't' })]).toEqual([
      true,
      false,
      true,
    ]);
  });
});

describe('the webhook', () => {
  const due = async (at: number): Promise<number> => (await takeUndelivered(env.DB, at)).length;
  const raised = async (): Promise<string> => {
    await seen('1', { count: 3 });
    await watch(NOW);
    return (await alerts())[0]?.id ?? '';
  };

  it('is tried at once, then later and later, by one attempt at a time, eight times in all', async () => {
    await raised();
    const seconds = [0, 15, 45, 105, 225, 465, 945, 1905];
    for (const after of seconds) {
      expect(await due(NOW + after * 1000 - 1), `before ${after}`).toBe(0);
      expect(await due(NOW + after * 1000), `after ${after}`).toBe(1);
    }
    expect(await due(NOW + 86_400_000)).toBe(0);
  });

  it('that is set up later is not told of what is long past', async () => {
    await raised();
    expect(await due(NOW + 60 * MINUTE)).toBe(0);
    expect(await due(NOW + 59 * MINUTE)).toBe(1);
  });

  it('is told no more once it took the message', async () => {
    const id = await raised();
    expect(await due(NOW)).toBe(1);
    await markDelivered(env.DB, id, NOW);
    expect(await due(NOW + 86_400_000)).toBe(0);
  });
});

it('neither the watch, which looks every minute, nor the figures read what is older than their time', async () => {
  const many = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)';
  const counters = JSON.stringify({ denied: [{ path_class: 'ssh', syscall: 'openat', count: 1 }] });
  await env.DB.exec(
    `INSERT INTO sessions (session, agent, backend, host, program, capabilities, key, started_by, started_at, deadline_at,
       last_seen_at, sequence, counters, ended_at, start_noted, end_noted)
     ${many} SELECT 's' || i, 'a' || i, 'docker', 'h', 'p', '[]', '{}', 'op', i, i, i, 1, '${counters}', i, 1, 1 FROM n`.replaceAll(
      '\n',
      ' ',
    ),
  );
  await env.DB.exec(
    `INSERT INTO audit (ledger, seq, at, event, request_id, agent, decision, detail, prev_hash, hash)
     ${many} SELECT 'l', i, i, 'call.denied', i, 'a' || i, 'deny', '{}', '', i FROM n`.replaceAll('\n', ' '),
  );
  let read = 0;
  const batch = async (statements: D1PreparedStatement[]) => {
    const answers = await env.DB.batch(statements);
    read += answers.reduce((sum, { meta }) => sum + meta.rows_read, 0);
    return answers;
  };
  const counted = { prepare: env.DB.prepare.bind(env.DB), batch } as unknown as D1Database;
  expect(await readMeasures(counted, NOW - MINUTE, NOW)).toEqual([]);
  const filter = { since: NOW - MINUTE, until: NOW, agent: null, session: null };
  expect(await readFigures(counted, filter, 60, NOW)).toMatchObject({
    rejectionSeries: [],
    credentialSeries: [],
    open: [],
  });
  expect(read).toBeLessThan(50);
});
