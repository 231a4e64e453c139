import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionDetail, SessionJson, SessionListResponse, SignalsResponse } from '../../../src/protocol.ts';
import { countersOf, makeRunner, newSession, receiptOf, signed, startOf, startWorld, type World } from './world.ts';

let world: World;
const runner = makeRunner();
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

describe('the life of a session as the edge sees it', () => {
  it('is announced, reported, ended and read; the audit has its start and its end', async () => {
    const id = await world.start(runner);
    expect(await world.session(id)).toMatchObject({ state: 'running', denied: null, program: 'python3' });

    const reported = await world.post(`/v1/sessions/${id}/report`, { sequence: 1, counters: countersOf(2) });
    expect(await reported.json()).toEqual({ session_id: id, stop_requested: false, sequence: 1 });
    expect(await world.session(id)).toMatchObject({ denied: 2, observed: 2, blocked: 1, sources: ['seccomp-notify'] });

    const receipt = await signed(runner, receiptOf(id));
    const ended = await world.post(`/v1/sessions/${id}/end`, { receipt });
    expect(ended.status).toBe(200);
    const sha256 = createHash('sha256').update(receipt).digest('hex');
    expect(await ended.json()).toMatchObject({
      state: 'ended',
      reason: 'exited',
      exit_code: 0,
      denied: 3,
      absence_proven: true,
      receipt_sha256: sha256,
    });
    expect(((await world.session(id)) as SessionDetail).receipt).toBe(receipt);

    const rows = await world.edge.audit({ session: id });
    expect(rows.map((row) => row.event)).toEqual(['session.ended', 'session.started']);
    expect(rows[0]).toMatchObject({
      agent: 'worker',
      reason: 'exited',
      detail: { receipt_sha256: sha256, denied: 3, observed: 2, blocked: 1, dropped: 0, absence_proven: true },
    });
    expect((await world.edge.verify()).ok).toBe(true);
  });

  it('a receipt that waited ends its session when it ended, not when it came; its clock counts within what the edge saw', async () => {
    const ended = async (after: number): Promise<{ startedAt: number; endedAt: number }> => {
      const id = await world.start(runner);
      const startedAt = Date.parse((await world.session(id)).started_at);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const { at } = receiptOf(id);
      const stated = new Date(startedAt + after).toISOString();
      const receipt = await signed(runner, receiptOf(id, { at: { ...at, ended: stated } }));
      expect((await world.post(`/v1/sessions/${id}/end`, { receipt })).status).toBe(200);
      const [row] = await world.edge.audit({ session: id });
      expect(row).toMatchObject({ event: 'session.ended', detail: { ended_at: stated } });
      return { startedAt, endedAt: Date.parse((await world.session(id)).ended_at ?? '') };
    };
    const waited = await ended(100);
    expect(waited.endedAt).toBe(waited.startedAt + 100);
    const before = await ended(-60_000);
    expect(before.endedAt).toBe(before.startedAt);
    expect((await ended(3_600_000)).endedAt).toBeLessThanOrEqual(Date.now() + 50);
  });

  it('its tokens die with it, at once, whoever holds them, and none is given for it any more', async () => {
    const id = await world.start(runner);
    const mint = { capabilities: ['bank:read'], session_id: id };
    const tokens = [];
    for (const agent of ['worker', 'helper']) tokens.push(await world.edge.mint(agent, ['bank:read'], { session: id }));
    const call = (token: string) =>
      fetch(`${world.edge.proxy('bank')}/v1/balance`, { headers: { authorization: `Bearer ${token}` } });
    for (const token of tokens) expect((await call(token)).status).toBe(200);
    await world.post(`/v1/sessions/${id}/end`, { receipt: await signed(runner, receiptOf(id)) });
    for (const token of tokens) expect((await call(token)).status).toBe(401);
    const late = await world.post('/v1/tokens', { agent_id: 'worker', ...mint });
    expect(await late.json()).toMatchObject({ status: 409, code: 'session_revoked' });
    // Nor does what has ended begin again.
    expect((await world.post('/v1/sessions', startOf(runner, id))).status).toBe(409);
  });

  it('a request to stop revokes, and the runner hears of it on its next report', async () => {
    const id = await world.start(runner);
    const token = await world.edge.mint('worker', ['bank:read'], { session: id });
    const stopped = (await (await world.post(`/v1/sessions/${id}/stop`)).json()) as SessionJson;
    expect(stopped).toMatchObject({ state: 'stopping', stop_requested_by: 'local' });
    const call = await fetch(`${world.edge.proxy('bank')}/v1/balance`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(call.status).toBe(401);
    const answer = await world.post(`/v1/sessions/${id}/report`, { sequence: 1, counters: countersOf() });
    expect(await answer.json()).toMatchObject({ stop_requested: true });
    expect((await world.edge.audit({ session: id, event: 'session.stop_requested' })).length).toBe(1);
  });

  it('is listed newest first, by agent and state, page by page', async () => {
    const agent = `lister-${Date.now()}`;
    const ids: string[] = [];
    for (let i = 0; i < 5; i += 1) ids.push(await world.start(runner, { agent_id: agent }));
    await world.post(`/v1/sessions/${ids[0]}/end`, {
      receipt: await signed(runner, receiptOf(ids[0] ?? '', { agent_id: agent })),
    });
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const page = (await (
        await world.get(`/v1/sessions?agent=${agent}&limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
      ).json()) as SessionListResponse;
      seen.push(...page.sessions.map((s) => s.session_id));
      if (page.next_cursor === null) break;
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(ids.toReversed());
    const running = (await (
      await world.get(`/v1/sessions?agent=${agent}&state=running`)
    ).json()) as SessionListResponse;
    expect(running.sessions.map((s) => s.session_id)).toEqual(ids.slice(1).toReversed());
  });

  it('is among what runs now, whatever time the figures are of; of those that run too long when it does', async () => {
    const agent = `figures-${Date.now()}`;
    const id = await world.start(runner, { agent_id: agent });
    const figures = async (query = '') =>
      ((await (await world.get(`/v1/signals?agent=${agent}${query}`)).json()) as SignalsResponse).sessions;
    const day = 86_400_000;
    for (const until of [Date.now() - day, Date.now(), Date.now() + day])
      expect(await figures(`&until=${new Date(until).toISOString()}`)).toMatchObject({ running: 1, long: [] });
    await world.post(`/v1/sessions/${id}/end`, { receipt: await signed(runner, receiptOf(id, { agent_id: agent })) });
    expect(await figures()).toMatchObject({ total: 1, running: 0 });
  });

  it('announced twice with the same is one session and one row', async () => {
    const id = newSession();
    const start = startOf(runner, id);
    expect((await world.post('/v1/sessions', start)).status).toBe(201);
    expect((await world.post('/v1/sessions', start)).status).toBe(200);
    expect((await world.edge.audit({ session: id, event: 'session.started' })).length).toBe(1);
  });
});
