import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { json } from '../support/upstream.ts';
import { policiesFor, startWorld, type World, type WorldOptions } from './world.ts';

let world: World;
const options: WorldOptions = { handler: json({ ok: true }) };
beforeAll(async () => {
  world = await startWorld(options);
}, 120_000);
afterAll(() => world?.stop());

const once = (token: string) => world.call('bank', 'GET', '/once', { token });

describe('threat 32: a limit is never exceeded', () => {
  it('100 calls at once at a limit of one: exactly one reaches the upstream, and every other is told when to come back', async () => {
    const token = await world.token(['bank:once'], 'racer');
    world.upstream.forget();
    const answers = await Promise.all(Array.from({ length: 100 }, () => once(token)));
    const statuses = answers.map((answer) => answer.status);
    expect(world.upstream.seen).toHaveLength(1);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 429)).toHaveLength(99);
    for (const { headers } of answers.filter(({ status }) => status === 429))
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    const rows = await world.edge.audit({ agent: 'racer', capability: 'bank:once' });
    expect(rows.filter((row) => row.event === 'call.admitted')).toHaveLength(1);
    expect(rows.filter((row) => row.event === 'call.denied' && row.reason === 'rate_limited')).toHaveLength(99);
  });

  it('another token of the same agent has no budget of its own; another agent has', async () => {
    world.upstream.forget();
    expect((await once(await world.token(['bank:once'], 'racer'))).status).toBe(429);
    expect(world.upstream.seen).toHaveLength(0);
    expect((await once(await world.token(['bank:once'], 'walker'))).status).toBe(200);
  });

  it("a client's own request ids, times and retry marks do not make a call free", async () => {
    const token = await world.token(['bank:once'], 'forger');
    world.upstream.forget();
    const first = await once(token);
    const id = first.headers['keywarden-request-id'];
    for (const fields of [
      [`Keywarden-Request-Id: ${id}`],
      [`X-Request-Id: ${id}`],
      [`Idempotency-Key: ${id}`],
      ['X-Stripe-Retry-Count: 1'],
      ['Date: Thu, 01 Jan 2099 00:00:00 GMT'],
    ]) {
      expect((await world.call('bank', 'GET', '/once', { token, fields })).status).toBe(429);
    }
    expect(world.upstream.seen).toHaveLength(1);
  });

  it('a client that breaks off has spent its call all the same', async () => {
    const token = await world.token(['bank:once'], 'quitter');
    world.upstream.forget();
    world.upstream.handle((req) => void req.resume());
    await world.call('bank', 'GET', '/once', { token, timeoutMs: 300 }).catch(() => null);
    world.upstream.handle(json({ ok: true }));
    expect((await once(token)).status).toBe(429);
    expect(world.upstream.seen).toHaveLength(1);
  });

  it('SIGKILL of workerd between intent and answer forgives nothing, loses no row and doubles none', async () => {
    const token = await world.token(['bank:once', 'bank:read'], 'survivor');
    world.upstream.forget();
    world.upstream.handle((req) => void req.resume());
    const pending = once(token).catch(() => null);
    const deadline = Date.now() + 5_000;
    while (world.upstream.seen.length === 0 && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(world.upstream.seen).toHaveLength(1);
    await world.edge.kill9Workerd();
    await pending;

    const { upstream, edge } = world;
    const before = edge.directory;
    const again = await startWorld({
      ...options,
      policies: () => policiesFor(upstream.origin),
      edge: { directory: before },
    });
    try {
      // The token is good after the restart: the signing key is kept. So is the charge.
      const retry = await again.call('bank', 'GET', '/once', { token });
      expect(retry.status).toBe(429);
      expect(upstream.seen).toHaveLength(1);
      const rows = await again.edge.audit({ agent: 'survivor', capability: 'bank:once' });
      expect(rows.filter((row) => row.event === 'call.admitted')).toHaveLength(1);
      expect(new Set(rows.map((row) => `${row.ledger} ${row.seq}`)).size).toBe(rows.length);
      expect(await again.edge.verify()).toMatchObject({ ok: true, problems: [] });
    } finally {
      await again.stop();
    }
  }, 120_000);
});
