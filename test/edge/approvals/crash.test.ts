import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep } from '../../support/process.ts';
import { json, startUpstream, type Upstream } from '../../support/upstream.ts';
import { ALL, bankPolicy, eventsOf, newKeys, startWorld, type World } from './world.ts';

let upstream: Upstream;
let directory: string;
const keys = newKeys();
const start = (policy?: string): Promise<World> =>
  startWorld({ upstream, directory, keys, ...(policy === undefined ? {} : { policy }) });

beforeAll(async () => {
  upstream = await startUpstream(json({ ok: true }));
  directory = mkdtempSync(join(tmpdir(), 'keywarden-approvals-'));
});
afterAll(async () => {
  await upstream?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const PAYMENT = { to: 'acct_1', amount: 2000 };
const kill = async (world: World): Promise<void> => {
  await world.edge.kill9Workerd();
  await world.edge.stop().catch(() => {});
};

describe('SIGKILL for workerd (threat 24: replay after a crash)', () => {
  it('between question and decision, decision and use, and after use: nothing is lost, nothing is used twice', async () => {
    upstream.forget();
    let world = await start();
    const token = await world.edge.mint('crasher', ALL);
    const asked = await world.send(token, '/v1/payments', PAYMENT);
    await kill(world);

    world = await start();
    expect((await world.send(token, '/v1/payments', PAYMENT)).approval).toBe(asked.approval);
    expect((await world.decide('alice', asked.approval, 'approve')).status).toBe(200);
    await kill(world);

    world = await start();
    expect((await world.send(token, '/v1/payments', PAYMENT)).status).toBe(200);
    expect(upstream.seen).toHaveLength(1);
    await kill(world);

    world = await start();
    // The desk may have missed the news; the ledger has not.
    for (let i = 0; i < 3; i++) {
      const again = await world.send(token, '/v1/payments', PAYMENT);
      expect(['approval_used', 'approval_pending']).toContain(again.body.code);
    }
    expect(upstream.seen).toHaveLength(1);
    expect((await world.edge.verify()).problems).toEqual([]);
    const events = await eventsOf(world.edge, 'crasher');
    for (const once of ['approval.approved', 'approval.used', 'call.admitted'])
      expect(events.filter((event) => event === once)).toHaveLength(1);
    await world.edge.stop();
  });

  it('at any moment of the use: at most one call for one yes, and every call stands in the chain', async () => {
    upstream.forget();
    const rounds = [0, 2, 5, 9, 14, 25];
    let token = '';
    for (const [round, delayMs] of rounds.entries()) {
      const world = await start();
      token = await world.edge.mint(`racer-${round}`, ALL);
      const body = { to: `round-${round}`, amount: 2000 };
      const asked = await world.send(token, '/v1/payments', body);
      await world.decide('bob', asked.approval, 'approve');
      const sends = Array.from({ length: 6 }, () => world.send(token, '/v1/payments', body).catch(() => null));
      await sleep(delayMs);
      await kill(world);
      await Promise.all(sends);
      const next = await start();
      await Promise.all(Array.from({ length: 6 }, () => next.send(token, '/v1/payments', body)));
      const calls = upstream.seen.filter((one) => one.body().includes(`round-${round}`));
      expect(calls.length).toBeLessThanOrEqual(1);
      const rows = await next.edge.audit({ agent: `racer-${round}` });
      const admitted = rows.filter((row) => row.event === 'call.admitted');
      expect(admitted).toHaveLength(1);
      expect(rows.filter((row) => row.event === 'approval.used').map((row) => row.request_id)).toEqual([
        admitted[0]?.request_id,
      ]);
      await next.edge.stop();
    }
  });
});

describe('a policy change in between', () => {
  it('makes another question of the same request', async () => {
    upstream.forget();
    let world = await start();
    const token = await world.edge.mint('changed', ALL);
    const asked = await world.send(token, '/v1/payments', PAYMENT);
    await world.decide('alice', asked.approval, 'approve');
    await world.edge.stop();

    world = await start(bankPolicy(upstream.origin, 'Pay anybody'));
    const again = await world.send(token, '/v1/payments', PAYMENT);
    expect(again.body.code).toBe('approval_pending');
    expect(again.approval).not.toBe(asked.approval);
    expect(upstream.seen).toHaveLength(0);
    await world.edge.stop();
  });
});
