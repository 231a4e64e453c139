import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SessionListResponse, SignalsResponse } from '../../../src/protocol.ts';
import {
  countersOf,
  KEYS,
  makeRunner,
  newSession,
  receiptOf,
  signed,
  startOf,
  startWorld,
  type World,
} from './world.ts';

let world: World;
const runner = makeRunner();
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

describe('who may not', () => {
  it.each([
    ['POST', '/v1/sessions'],
    ['GET', '/v1/sessions'],
    ['GET', '/v1/sessions/ID'],
    ['POST', '/v1/sessions/ID/report'],
    ['POST', '/v1/sessions/ID/end'],
    ['POST', '/v1/sessions/ID/stop'],
  ])('%s %s is closed to nobody and to an agent with its own token', async (method, path) => {
    const id = await world.start(runner);
    const token = await world.edge.mint('worker', ['bank:read'], { session: id });
    const url = world.edge.url + path.replace('ID', id);
    const body = method === 'POST' ? '{}' : undefined;
    for (const headers of [{}, { authorization: `Bearer ${token}` }]) {
      expect((await fetch(url, { method, headers, ...(body ? { body } : {}) })).status).toBe(401);
    }
    expect((await world.edge.audit({ event: 'operator.denied' })).length).toBeGreaterThan(0);
  });
});

describe('each role does its own', () => {
  const calls = {
    announce: (id: string, key: string) => world.post('/v1/sessions', startOf(runner, id), key),
    report: (id: string, key: string) =>
      world.post(`/v1/sessions/${id}/report`, { sequence: 1, counters: countersOf() }, key),
    end: async (id: string, key: string) =>
      world.post(`/v1/sessions/${id}/end`, { receipt: await signed(runner, receiptOf(id)) }, key),
    stop: (id: string, key: string) => world.post(`/v1/sessions/${id}/stop`, {}, key),
    list: (_: string, key: string) => world.get('/v1/sessions', key),
    read: (id: string, key: string) => world.get(`/v1/sessions/${id}`, key),
  };
  it.each<[keyof typeof KEYS, (keyof typeof calls)[]]>([
    ['runner', ['announce', 'report', 'end']],
    ['auditor', ['list', 'read']],
    ['approver', ['stop']],
  ])('%s may %o and nothing else', async (who, may) => {
    const { key } = KEYS[who];
    for (const [name, call] of Object.entries(calls)) {
      const id = newSession();
      if (name !== 'announce') await world.post('/v1/sessions', startOf(runner, id), KEYS.runner.key);
      const { status } = await call(id, key);
      if (may.includes(name as keyof typeof calls)) expect(status, name).toBeLessThan(300);
      else expect(status, name).toBe(403);
    }
  });

  it('a runner neither reports on nor ends the session of another runner', async () => {
    const id = newSession();
    await calls.announce(id, KEYS.runner.key);
    const alert = (session: string, key: string) =>
      world.post('/v1/signals/screen', { session_id: session, report_id: 'r', rule: 'secret_shown', count: 1 }, key);
    for (const call of [calls.report, calls.end, alert]) {
      const response = await call(id, KEYS.neighbour.key);
      expect(await response.json()).toMatchObject({ status: 403, code: 'session_foreign' });
    }
    expect(await world.session(id)).toMatchObject({ state: 'running', denied: null });
    // Nor does it learn by announcing: the id is taken.
    expect((await calls.announce(id, KEYS.neighbour.key)).status).toBe(409);
  });
});

describe('a receipt that is none (threats B 61–69: nobody else says that a session ended)', () => {
  const other = makeRunner();
  it.each<[string, (id: string) => Promise<string>]>([
    ['signed by another key', (id) => signed(other, receiptOf(id))],
    ['of another session', async () => signed(runner, receiptOf(newSession()))],
    ['of another agent', (id) => signed(runner, receiptOf(id, { agent_id: 'someone' }))],
    ['of another type', (id) => signed(runner, receiptOf(id), { alg: 'EdDSA', typ: 'at+jwt' })],
    ['without a type', (id) => signed(runner, receiptOf(id), { alg: 'EdDSA' })],
    [
      'that brings its own key',
      (id) =>
        signed(other, receiptOf(id), {
          alg: 'EdDSA',
          typ: 'keywarden-receipt+jwt',
          jwk: { kty: 'OKP', crv: 'Ed25519', x: other.x },
        }),
    ],
    [
      'unsigned',
      async (id) => {
        const part = (x: unknown): string => Buffer.from(JSON.stringify(x)).toString('base64url');
        return `${part({ alg: 'none', typ: 'keywarden-receipt+jwt' })}.${part(receiptOf(id))}.AA`;
      },
    ],
    [
      'with one byte changed',
      async (id) => {
        const [head, , tail] = (await signed(runner, receiptOf(id))).split('.');
        return `${head}.${Buffer.from(JSON.stringify(receiptOf(id, { exit_code: 7 }))).toString('base64url')}.${tail}`;
      },
    ],
    ['with a field too many', (id) => signed(runner, { ...receiptOf(id), note: 'x' })],
    [
      'with a raw path for a class',
      (id) =>
        signed(
          runner,
          receiptOf(id, {
            counters: { ...countersOf(), denied: [{ path_class: '/root/.aws', syscall: 'open', count: 1 }] },
          }),
        ),
    ],
  ])('%s is refused: the session runs on, its token lives', async (_, make) => {
    const id = await world.start(runner);
    const token = await world.edge.mint('worker', ['bank:read'], { session: id });
    const response = await world.post(`/v1/sessions/${id}/end`, { receipt: await make(id) });
    expect(response.status).toBe(400);
    expect(await world.session(id)).toMatchObject({ state: 'running', receipt_sha256: null });
    const call = await fetch(`${world.edge.proxy('bank')}/v1/balance`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(call.status).toBe(200);
    expect(await world.edge.audit({ session: id, event: 'session.ended' })).toEqual([]);
  });

  it('a replay for another session of the same runner is refused', async () => {
    const first = await world.start(runner);
    const second = await world.start(runner);
    const receipt = await signed(runner, receiptOf(first));
    expect((await world.post(`/v1/sessions/${first}/end`, { receipt })).status).toBe(200);
    expect((await world.post(`/v1/sessions/${second}/end`, { receipt })).status).toBe(400);
  });
});

describe('what is refused before it is looked up', () => {
  it.each([
    "ses_' OR 1=1 --",
    'ses_0123456789ABCDEFGHIJKLMNOP',
    '..%2F..%2Ftokens',
    'ses_%00aaaaaaaaaaaaaaaaaaaaaaaaa',
    `ses_${'a'.repeat(27)}`,
    '%F0%9F%92%A5',
  ])('the session id %s', async (id) => {
    for (const [method, path] of [
      ['GET', `/v1/sessions/${id}`],
      ['POST', `/v1/sessions/${id}/report`],
      ['POST', `/v1/sessions/${id}/stop`],
    ] as const) {
      const response = await world.edge.operate(path, { method, ...(method === 'POST' ? { body: '{}' } : {}) });
      expect(response.status).toBe(404);
    }
  });

  it.each<[string, object]>([
    [
      'a million classes',
      { ...countersOf(), denied: Array.from({ length: 501 }, () => ({ path_class: 'a', syscall: 'open', count: 1 })) },
    ],
    ['a negative count', { ...countersOf(), dropped: -1 }],
    ['a fraction', { ...countersOf(), dropped: 1.5 }],
    [
      'a class with a newline (threats B 69)',
      { ...countersOf(), denied: [{ path_class: 'a\nb', syscall: 'open', count: 1 }] },
    ],
    ['a source with an escape', { ...countersOf(), sources: ['\u001b[31m'] }],
  ])('counters with %s', async (_, counters) => {
    const id = await world.start(runner);
    expect((await world.post(`/v1/sessions/${id}/report`, { sequence: 1, counters })).status).toBe(400);
    expect(await world.session(id)).toMatchObject({ denied: null });
  });

  it('a body of a megabyte', async () => {
    const id = await world.start(runner);
    const receipt = `${'A'.repeat(1_000_000)}.A.A`;
    expect((await world.post(`/v1/sessions/${id}/end`, { receipt })).status).toBe(400);
  });
});

it('an id that is taken is not given to another, whatever differs', async () => {
  const id = newSession();
  const start = startOf(runner, id);
  const announce = async (more: object, key?: string): Promise<number> =>
    (await world.post('/v1/sessions', { ...start, ...more }, key)).status;
  expect(await announce({})).toBe(201);
  for (const more of [
    { agent_id: 'thief' },
    { key: { kty: 'OKP', crv: 'Ed25519', x: makeRunner().x } },
    { program: 'sh' },
    { backend: 'docker' },
    { host: 'host-2' },
    { capabilities: ['bank:read', 'bank:write'] },
    { deadline_at: new Date(Date.now() + 120_000).toISOString() },
  ])
    expect(await announce(more), JSON.stringify(more)).toBe(409);
  expect(await announce({}, KEYS.neighbour.key)).toBe(409);
  // The same again is the same; only an end is the end of it.
  expect(await announce({})).toBe(200);
  expect(await world.session(id)).toMatchObject({ agent_id: 'worker', program: 'python3' });
});

it('an id that was revoked beforehand cannot begin', async () => {
  const id = newSession();
  await world.post('/v1/tokens/revoke', { session_id: id });
  expect((await world.post('/v1/sessions', startOf(runner, id))).status).toBe(409);
});

describe('figures that no machine ever counted', () => {
  it('keep no signal, no metric, no alert and no list from being read', async () => {
    const most = Array.from({ length: 500 }, (_, i) => ({
      path_class: `c${i}`,
      syscall: 'openat',
      count: Number.MAX_SAFE_INTEGER,
    }));
    for (let i = 0; i < 3; i += 1) {
      const id = await world.start(runner, { agent_id: 'liar' });
      const counters = { ...countersOf(), denied: most, dropped: Number.MAX_SAFE_INTEGER };
      expect((await world.post(`/v1/sessions/${id}/report`, { sequence: 1, counters })).status).toBe(200);
    }
    const signals = SignalsResponse.parse(await (await world.get('/v1/signals?agent=liar')).json());
    expect(signals.credential_paths.total).toBe(Number.MAX_SAFE_INTEGER);
    expect(signals.alerts).toMatchObject([{ signal: 'credential_paths', agent: 'liar' }]);
    expect((await world.get('/metrics')).status).toBe(200);
    const list = SessionListResponse.parse(await (await world.get('/v1/sessions?agent=liar')).json());
    expect(list.sessions.map(({ denied }) => denied)).toEqual([1, 2, 3].map(() => Number.MAX_SAFE_INTEGER));
  });
});
