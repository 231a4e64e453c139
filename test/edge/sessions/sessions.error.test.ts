import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { countersOf, makeRunner, newSession, receiptOf, signed, startOf, startWorld, type World } from './world.ts';

let world: World;
const runner = makeRunner();
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

describe('what goes wrong is told', () => {
  it('all that is wrong with an announcement at once', async () => {
    const response = await world.post('/v1/sessions', { ...startOf(runner, 'ses_x'), host: 'a\nb', extra: 1 });
    expect(response.status).toBe(400);
    const { message } = (await response.json()) as { message: string };
    for (const part of ['session_id', 'host', 'extra']) expect(message).toContain(part);
  });

  it.each([
    ['that has passed', -120_000],
    ['more than a day ahead', 90_000_000],
  ])('a deadline %s', async (_, ahead) => {
    const deadline = new Date(Date.now() + ahead).toISOString();
    const response = await world.post('/v1/sessions', startOf(runner, newSession(), { deadline_at: deadline }));
    expect(await response.json()).toMatchObject({ status: 400, code: 'deadline_invalid' });
  });

  it.each([
    ['that has just passed', -30_000],
    ['a little more than a day ahead', 86_430_000],
  ])('but a deadline %s is taken: the clocks may differ by a minute', async (_, ahead) => {
    await world.start(runner, { deadline_at: new Date(Date.now() + ahead).toISOString() });
  });

  it('an old report changes nothing and is answered as the last one', async () => {
    const id = await world.start(runner);
    await world.post(`/v1/sessions/${id}/report`, { sequence: 5, counters: countersOf(9) });
    const old = await world.post(`/v1/sessions/${id}/report`, { sequence: 4, counters: countersOf(1) });
    expect(await old.json()).toMatchObject({ sequence: 5 });
    expect(await world.session(id)).toMatchObject({ denied: 9 });
  });

  it('a receipt sent again is taken as the first; another one is refused', async () => {
    const id = await world.start(runner);
    const receipt = await signed(runner, receiptOf(id));
    expect((await world.post(`/v1/sessions/${id}/end`, { receipt })).status).toBe(200);
    expect((await world.post(`/v1/sessions/${id}/end`, { receipt })).status).toBe(200);
    expect((await world.edge.audit({ session: id, event: 'session.ended' })).length).toBe(1);
    const other = await signed(runner, receiptOf(id, { exit_code: 1 }));
    expect((await world.post(`/v1/sessions/${id}/end`, { receipt: other })).status).toBe(409);
    expect(await world.session(id)).toMatchObject({ exit_code: 0 });
    const late = await world.post(`/v1/sessions/${id}/report`, { sequence: 1, counters: countersOf() });
    expect(late.status).toBe(409);
  });

  it('stopping what has ended changes nothing', async () => {
    const id = await world.start(runner);
    await world.post(`/v1/sessions/${id}/end`, { receipt: await signed(runner, receiptOf(id)) });
    expect(await (await world.post(`/v1/sessions/${id}/stop`)).json()).toMatchObject({
      state: 'ended',
      stop_requested_at: null,
    });
  });

  it('an alert of the screen of no session', async () => {
    const alert = { session_id: newSession(), report_id: 'r', rule: 'secret_shown', count: 1 };
    const response = await world.post('/v1/signals/screen', alert);
    expect(await response.json()).toMatchObject({ status: 404, code: 'session_unknown' });
  });

  const [early, late] = ['2026-01-01T00:00:00Z', '2026-04-03T00:00:01Z'];
  it.each([
    `/v1/signals?since=${late}&until=${early}`,
    `/v1/signals?since=${early}&until=${early}`,
    `/v1/signals?since=${early}&until=${late}`,
  ])('figures of no time, or of more than 92 days: %s', async (path) => {
    expect(await (await world.get(path)).json()).toMatchObject({ status: 400, message: expect.stringContaining('92') });
  });

  it.each(['/v1/sessions?state=gone', '/v1/sessions?limit=0', '/v1/sessions?who=me', '/v1/sessions?cursor=abc'])(
    '%s',
    async (path) => {
      expect((await world.get(path)).status).toBe(400);
    },
  );
});
