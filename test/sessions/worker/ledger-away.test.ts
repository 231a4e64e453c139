import { reset } from 'cloudflare:test';
import { Hono } from 'hono';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { listStops } from '../../../src/db/stops.ts';
import { insertToken, isSessionRevoked } from '../../../src/db/tokens.ts';
import type { Edge } from '../../../src/edge.ts';
import type { Env } from '../../../src/env.ts';
import { ledgerNameOf } from '../../../src/ledger/name.ts';
import { sha256Hex } from '../../../src/lib/digest.ts';
import type { Api } from '../../../src/routes/context.ts';
import { sessions } from '../../../src/routes/sessions.ts';
import { stops } from '../../../src/routes/stops.ts';
import { tokens } from '../../../src/routes/tokens.ts';
import { findSession } from '../../../src/sessions/store.ts';
import { env, events, ledgerName, ledgerOf, migrate, stubOf } from '../../support/ledger-world.ts';

/** The operators' doors with the real ledgers, of which one does not answer. */
const KEY = 'kwop_of-the-ledger-away_0123456789';
const edge = {
  operators: new Map([[sha256Hex(KEY), { id: 'ada', roles: new Set(['admin']) }]]),
  access: null,
} as unknown as Edge;
const app = new Hono<Api>();
app.use(async (c, next) => {
  c.set('edge', edge);
  c.set('requestId', crypto.randomUUID());
  await next();
});
app.route('/v1/sessions', sessions).route('/v1/stops', stops).route('/v1/tokens', tokens);

let away: string | null;
const post = async (path: string, body: object = {}, DB = env.DB) => {
  const get = (id: DurableObjectId) => {
    if (away !== null && id.equals(env.LEDGER.idFromName(ledgerName(away)))) throw new Error('away');
    return env.LEDGER.get(id);
  };
  const LEDGER = { idFromName: env.LEDGER.idFromName.bind(env.LEDGER), get };
  const init = { method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(body) };
  const response = await app.request(path, init, { ...env, LEDGER, DB } as unknown as Env);
  return [response.status, (await response.json()) as Record<string, unknown>] as const;
};
const given = (agent: string, session: string): Promise<void> => {
  const [issuedAt, expiresAt] = [Date.now(), Date.now() + 60_000];
  const token = { tokenId: `of-${agent}`, session, capabilities: [], issuedAt, expiresAt, mintedBy: 'ada' };
  return insertToken(env.DB, { agent, ...token });
};
const announced = async (agent: string): Promise<string> => {
  const session_id = `ses_${agent.padEnd(26, '0')}`;
  const key = { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) };
  const deadline_at = new Date(Date.now() + 60_000).toISOString();
  const what = { backend: 'namespace', host: 'h', program: 'p', capabilities: [], deadline_at, key };
  expect(await post('/v1/sessions', { session_id, agent_id: agent, ...what })).toMatchObject([201, {}]);
  await given(agent, session_id);
  return session_id;
};
const isAsked = async (session: string): Promise<boolean> =>
  (await findSession(env.DB, session))?.stopRequestedAt !== null;
const revokedBy = async (agent: string, session: string | null = null) => {
  const principal = { agent, session, tokenId: `of-${agent}`, issuedAtMs: 1, expiresAtMs: 9e15 };
  return (await ledgerOf(agent).peek(principal, [])).revokedBy;
};

/** Rows that say that a stop was placed. */
const placed = async (): Promise<number> => {
  await stubOf(ledgerNameOf({ kind: 'operators' })).flush();
  return (await events()).filter((event) => event === 'stop.placed').length;
};

beforeEach(async () => {
  await migrate();
  away = null;
  // A ledger that is away is told in the log, too.
  vi.spyOn(console, 'error').mockImplementation(() => {});
});
afterEach(async () => {
  vi.restoreAllMocks();
  await reset();
});

describe('with a ledger that does not answer', () => {
  it('a session is asked to end all the same, and whoever asked is told that its tokens may live', async () => {
    const session = await announced('main');
    // Of two that hold its tokens one cannot be told.
    await given('gone', session);
    away = 'gone';
    expect(await post(`/v1/sessions/${session}/stop`)).toMatchObject([
      503,
      { message: 'The tokens could not be revoked. Send it again.' },
    ]);
    expect(await isAsked(session)).toBe(true);
    away = null;
    expect(await post(`/v1/sessions/${session}/stop`)).toMatchObject([200, { state: 'stopping' }]);
    await ledgerOf('main').flush();
    expect(await events()).toEqual(['session.started', 'session.stop_requested']);
  });

  it('everything is stopped that can be, and no row says that it was all', async () => {
    const all = [await announced('gone'), await announced('here')];
    // More than are told at once: whoever comes after the one that is away, too.
    const crowd = Array.from({ length: 17 }, (_, i) => `crowd-${i}`);
    for (const agent of crowd) await given(agent, 'elsewhere');
    away = 'gone';
    expect(await post('/v1/stops', { scope: 'everything' })).toMatchObject([
      503,
      { message: expect.stringMatching(/NOT complete/) },
    ]);
    expect(await Promise.all(all.map(isAsked))).toEqual([true, true]);
    for (const agent of ['here', ...crowd]) expect(await revokedBy(agent), agent).toBe('agent');
    expect(await listStops(env.DB)).toMatchObject([{ scope: 'everything', placedBy: 'ada' }]);
    expect(await placed()).toBe(0);
    away = null;
    expect(await post('/v1/stops', { scope: 'everything' })).toMatchObject([200, { tokens: 19 }]);
    expect(await revokedBy('gone')).toBe('agent');
    expect(await placed()).toBe(1);
  });

  it('a revocation that does not stand is not told as one that does', async () => {
    const session_id = await announced('gone');
    await given('after', session_id);
    away = 'gone';
    for (const what of [{ agent_id: 'gone' }, { token_id: 'of-gone' }, { session_id }])
      expect(await post('/v1/tokens/revoke', what)).toMatchObject([
        503,
        { message: expect.stringMatching(/does NOT stand/) },
      ]);
    expect(await revokedBy('gone')).toBeNull();
    // But it stands where it could.
    expect(await revokedBy('after', session_id)).toBe('session');
    away = null;
    expect(await post('/v1/tokens/revoke', { token_id: 'of-gone' })).toEqual([
      200,
      { revoked: 'token', agents: ['gone'] },
    ]);
    expect(await revokedBy('gone')).toBe('token');
  });
});

it('to stop everything takes as many statements with many sessions as with one', async () => {
  const all = await Promise.all(['one', 'two', 'three', 'four'].map(announced));
  const said: string[] = [];
  const prepare = (text: string) => {
    said.push(text);
    return env.DB.prepare(text);
  };
  const answer = await post('/v1/stops', { scope: 'everything' }, { prepare } as unknown as D1Database);
  expect(answer).toMatchObject([200, { sessions: 4 }]);
  expect(said.filter((text) => /insert into .?revoked_sessions/i.test(text))).toHaveLength(1);
  for (const session of all) expect(await isSessionRevoked(env.DB, session)).toBe(true);
});
