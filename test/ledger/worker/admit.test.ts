import { evictDurableObject, reset, runInDurableObject } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DIRECTORY_NAME } from '../../../src/ledger/contract.ts';
import { ledgerNameOf } from '../../../src/ledger/name.ts';
import {
  callOf,
  env,
  events,
  ledgerName,
  ledgerOf,
  migrate,
  noteOf,
  oneAnHour,
  outcomeOf,
  perHour,
  refusedOf,
  stored,
  stubOf,
} from '../../support/ledger-world.ts';

beforeEach(migrate);
afterEach(reset);

describe('admission', () => {
  it('of 200 calls at once, a limit of one lets exactly one pass; each of them has its row', async () => {
    const calls = Array.from({ length: 200 }, () => callOf({ limits: [oneAnHour] }));
    const answers = await Promise.all(calls.map((call) => ledgerOf().admit(call)));
    expect(answers.filter((answer) => answer.effect === 'admitted')).toHaveLength(1);
    expect(answers.filter((answer) => answer.effect === 'denied')).toHaveLength(199);
    await ledgerOf().flush();
    const rows = await stored();
    expect(rows.map((row) => row.seq)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    expect(new Set(rows.map((row) => row.request_id))).toEqual(new Set(calls.map((call) => call.requestId)));
  });

  it('the limit, the chain and the time line survive eviction', async () => {
    const stub = ledgerOf();
    await stub.admit(callOf({ limits: [perHour(2)] }));
    const before = await stub.head();
    await evictDurableObject(stub);
    expect(await stub.head()).toEqual(before);
    expect((await stub.admit(callOf({ limits: [perHour(2)] }))).effect).toBe('admitted');
    await evictDurableObject(stub);
    expect(await stub.admit(callOf({ limits: [perHour(2)] }))).toMatchObject({
      effect: 'denied',
      denial: { kind: 'rate_limited', limit: 'stripe:read_balance' },
    });
    await stub.flush();
    const rows = await stored();
    expect(rows.map((row) => row.seq)).toEqual([1, 2, 3]);
    expect([...rows].sort((one, other) => one.at - other.at)).toEqual(rows);
  });

  it.each([
    ['at once', false],
    ['after eviction', true],
  ])('a repeated send %s gets the same answer, and is charged and recorded once', async (_, evict) => {
    const stub = ledgerOf();
    const call = callOf({ limits: [perHour(2)] });
    expect((await stub.admit(call)).effect).toBe('admitted');
    if (evict) await evictDurableObject(stub);
    expect(await stub.admit({ ...call, attempt: 1 })).toMatchObject({ effect: 'admitted', limits: [{ remaining: 1 }] });
    expect((await stub.admit(callOf({ limits: [perHour(2)] }))).effect).toBe('admitted');
    expect((await stub.head()).seq).toBe(2);
  });

  it('both sends of a request in one group are one call', async () => {
    const call = callOf({ limits: [oneAnHour] });
    const answers = await Promise.all([ledgerOf().admit(call), ledgerOf().admit({ ...call, attempt: 1 })]);
    expect(answers.map((answer) => answer.effect)).toEqual(['admitted', 'admitted']);
    expect((await ledgerOf().head()).seq).toBe(1);
  });

  it.each([false, true])('a first send that its repetition overtook is the same call (evicted: %s)', async (evict) => {
    const call = callOf({ limits: [oneAnHour] });
    expect((await ledgerOf().admit({ ...call, attempt: 1 })).effect).toBe('admitted');
    if (evict) await evictDurableObject(ledgerOf());
    expect((await ledgerOf().admit({ ...call, attempt: 0 })).effect).toBe('admitted');
    expect((await ledgerOf().head()).seq).toBe(1);
  });

  it('also when it was denied, or has ended, before the first send came', async () => {
    const denied = callOf({ denial: { kind: 'operation_unknown' } });
    const done = callOf({ limits: [perHour(2)] });
    for (const call of [denied, done]) await ledgerOf().admit({ ...call, attempt: 1 });
    await ledgerOf().record({ attempt: 0, outcomes: [outcomeOf(done.requestId)], refused: [], notes: [] });
    expect((await ledgerOf().admit(denied)).effect).toBe('denied');
    expect(await ledgerOf().admit(done)).toMatchObject({ effect: 'admitted', limits: [{ remaining: 1 }] });
    expect((await ledgerOf().head()).seq).toBe(3);
  });

  it('a repeated send is still known when its row is in D1 and its outcome recorded', async () => {
    const call = callOf({ limits: [oneAnHour] });
    await ledgerOf().admit(call);
    await ledgerOf().record({ attempt: 0, outcomes: [outcomeOf(call.requestId)], refused: [], notes: [] });
    await ledgerOf().flush();
    expect((await ledgerOf().admit({ ...call, attempt: 1 })).effect).toBe('admitted');
    expect((await ledgerOf().head()).seq).toBe(2);
  });

  it('a denied call stays denied when it is sent again, with its whole reason', async () => {
    const call = callOf({
      limits: [oneAnHour],
      denial: { kind: 'capability_missing', wouldAllow: ['stripe:refund', 'stripe:admin'] },
    });
    const first = await ledgerOf().admit(call);
    expect(first).toMatchObject({ effect: 'denied', denial: call.denial });
    expect(await ledgerOf().admit({ ...call, attempt: 1 })).toMatchObject({ effect: 'denied', denial: call.denial });
    expect((await ledgerOf().head()).seq).toBe(1);
  });

  it('a call that an earlier step denied is recorded and charges nothing', async () => {
    await ledgerOf().admit(callOf({ limits: [oneAnHour], denial: { kind: 'operation_unknown' } }));
    expect((await ledgerOf().admit(callOf({ limits: [oneAnHour] }))).effect).toBe('admitted');
    await ledgerOf().flush();
    expect((await stored()).map((row) => [row.event, row.decision, row.reason])).toEqual([
      ['call.denied', 'deny', 'operation_unknown'],
      ['call.admitted', 'allow', null],
    ]);
  });

  it("no call is charged to another agent's ledger", async () => {
    for (let i = 0; i < 2; i++) await ledgerOf('agent-1').admit(callOf({ agent: 'agent-1' }));
    // The rejection is looked at inside the objects: across the border workerd tells of it twice.
    for (const agent of ['agent-1', 'agent-3']) {
      const why = await runInDurableObject(ledgerOf(agent), (ledger) =>
        ledger.admit(callOf({ agent: 'agent-2' })).then(() => '', String),
      );
      expect(why).toContain('not the agent');
    }
    expect((await ledgerOf('agent-1').head()).seq).toBe(2);
    expect((await ledgerOf('agent-3').head()).seq).toBe(0);
  });
});

describe('revocation', () => {
  it.each([
    ['token', { by: 'token', tokenId: 'token-1', until: 9e15 }],
    ['session', { by: 'session', session: 'session-1', until: 9e15 }],
    ['agent', { by: 'agent', issuedUntilMs: 1_000_000 }],
  ] as const)('by %s acts on the next call, before any other reason, and survives eviction', async (by, revocation) => {
    const stub = ledgerOf();
    expect((await stub.admit(callOf())).effect).toBe('admitted');
    await stub.revoke(revocation);
    expect(await stub.admit(callOf({ denial: { kind: 'operation_unknown' } }))).toMatchObject({
      denial: { kind: 'token_revoked', by },
    });
    await evictDurableObject(stub);
    expect(await stub.admit(callOf())).toMatchObject({ effect: 'denied', denial: { kind: 'token_revoked', by } });
  });

  it('of an agent leaves what is issued later alone', async () => {
    await ledgerOf().revoke({ by: 'agent', issuedUntilMs: 1_000_000 });
    const later = callOf();
    expect(
      (await ledgerOf().admit({ ...later, principal: { ...later.principal, issuedAtMs: 1_000_001 } })).effect,
    ).toBe('admitted');
  });

  it('charges nothing', async () => {
    await ledgerOf().revoke({ by: 'token', tokenId: 'token-1', until: 9e15 });
    await ledgerOf().admit(callOf({ limits: [oneAnHour] }));
    const other = callOf({ limits: [oneAnHour] });
    expect((await ledgerOf().admit({ ...other, principal: { ...other.principal, tokenId: 'token-2' } })).effect).toBe(
      'admitted',
    );
  });
});

describe('outcomes', () => {
  it('ride on the next call, and are recorded once however often they come', async () => {
    const first = callOf();
    await ledgerOf().admit(first);
    const outcome = outcomeOf(first.requestId);
    await ledgerOf().admit(callOf({ outcomes: [outcome, outcome] }));
    await ledgerOf().record({ attempt: 1, outcomes: [outcome], refused: [], notes: [] });
    await evictDurableObject(ledgerOf());
    await ledgerOf().record({ attempt: 0, outcomes: [outcome], refused: [], notes: [] });
    await ledgerOf().flush();
    expect(await events()).toEqual(['call.admitted', 'call.completed', 'call.admitted']);
  });

  it('of a call that was never admitted are no rows', async () => {
    await ledgerOf().admit(callOf());
    const denied = callOf({ denial: { kind: 'operation_unknown' } });
    await ledgerOf().admit(denied);
    await ledgerOf().record({
      attempt: 0,
      outcomes: [outcomeOf('never'), outcomeOf(denied.requestId)],
      refused: [],
      notes: [],
    });
    expect((await ledgerOf().head()).seq).toBe(2);
  });

  it('carry who and what of their intent, also after eviction', async () => {
    const call = callOf();
    await ledgerOf().admit(call);
    await evictDurableObject(ledgerOf());
    await ledgerOf().record({
      attempt: 0,
      outcomes: [outcomeOf(call.requestId, { status: 402 })],
      refused: [],
      notes: [],
    });
    await ledgerOf().flush();
    expect((await stored())[1]).toMatchObject({
      event: 'call.completed',
      request_id: call.requestId,
      agent: 'agent-1',
      capability: 'stripe:read_balance',
      path: '/v1/balance',
      status: 402,
    });
  });

  it('and say, as the intent does, all that an auditor asks for', async () => {
    const call = callOf();
    await ledgerOf().admit(call);
    const failed = {
      event: 'call.failed',
      status: null,
      reason: 'upstream_timeout',
      redactions: 2,
      durationMs: 4.6,
    } as const;
    const outcome = outcomeOf(call.requestId, { ...failed, why: 'silent for 2000 ms' });
    await ledgerOf().record({ attempt: 0, outcomes: [outcome], refused: [], notes: [] });
    await ledgerOf().flush();
    const [intent, end] = (await stored()) as unknown as Record<string, unknown>[];
    const whose = { agent: 'agent-1', session: 'session-1', token_id: 'token-1', capability: 'stripe:read_balance' };
    const what = { service: 'stripe', method: 'GET', path: '/v1/balance', request_id: call.requestId };
    expect(intent).toMatchObject({
      ...whose,
      ...what,
      event: 'call.admitted',
      decision: 'allow',
      query_names: 'expand',
      request_hash: 'a'.repeat(64),
      policy_hash: 'b'.repeat(64),
    });
    expect(end).toMatchObject({
      ...whose,
      ...what,
      event: 'call.failed',
      decision: null,
      reason: 'upstream_timeout',
      redactions: 2,
      request_bytes: 0,
      response_bytes: 17,
      duration_ms: 5,
      detail: '{"why":"silent for 2000 ms"}',
    });
  });

  it('and no row says more than a row may, in words that move no terminal', async () => {
    const [call, denied] = [callOf(), callOf()];
    await ledgerOf().admit(call);
    const odd = `a\nb\u202e\u001b[2J${'x'.repeat(600)}`;
    await ledgerOf().admit({ ...denied, denial: { kind: 'query_refused', why: odd } });
    const outcome = outcomeOf(call.requestId, { event: 'call.failed', reason: 'upstream_timeout', why: odd });
    const note = { ...noteOf('n', 'agent-1'), detail: { path: odd, ttlSeconds: 900 } };
    await ledgerOf().record({ attempt: 0, outcomes: [outcome], refused: [], notes: [note] });
    await ledgerOf().flush();
    const details = (await stored()).map(({ detail }) => JSON.parse(detail));
    const seen = `a\\u000ab\\u202e\\u001b[2J${'x'.repeat(600)}`.slice(0, 512);
    expect(details).toEqual([{}, { why: seen }, { why: seen }, { path: seen, ttlSeconds: 900 }]);
  });

  it('of a time before the last row, or in the future, do not bend the time line', async () => {
    const [one, other] = [callOf(), callOf()];
    await ledgerOf().admit(one);
    await ledgerOf().admit(other);
    const outcomes = [outcomeOf(one.requestId, { at: 5 }), outcomeOf(other.requestId, { at: 9e15 })];
    await ledgerOf().record({ attempt: 0, outcomes, refused: [], notes: [] });
    await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    const times = (await stored()).map((row) => row.at);
    expect([...times].sort((a, b) => a - b)).toEqual(times);
    expect(Math.max(...times)).toBeLessThanOrEqual(Date.now() + 1000);
  });
});

describe('what needs no admission', () => {
  it('refused calls and notes are recorded once, though they were sent twice', async () => {
    const operators = stubOf(ledgerNameOf({ kind: 'operators' }));
    const anonymous = stubOf(ledgerNameOf({ kind: 'anonymous' }));
    for (const attempt of [0, 1]) {
      await operators.record({ attempt, outcomes: [], refused: [], notes: [noteOf('mint-1')] });
      await anonymous.record({ attempt, outcomes: [], refused: [refusedOf('refused-1')], notes: [] });
    }
    await operators.flush();
    await anonymous.flush();
    expect((await stored()).map((row) => [row.event, row.reason]).sort()).toEqual([
      ['call.denied', 'token_missing'],
      ['token.minted', null],
    ]);
  });

  it('both sends of a note, or of a refused call, in one group are one row', async () => {
    const sent = (attempt: number) => ({
      attempt,
      outcomes: [],
      refused: [refusedOf('r')],
      notes: [noteOf('n', 'agent-1')],
    });
    await ledgerOf().admit(callOf());
    await runInDurableObject(ledgerOf(), (ledger) =>
      Promise.all([ledger.record(sent(0)), ledger.record(sent(1)), ledger.record(sent(2))]),
    );
    await ledgerOf().flush();
    expect(await events()).toEqual(['call.admitted', 'call.denied', 'token.minted']);
  });

  it('what was refused to an operator or a session is a no in its row', async () => {
    const notes = (['token.refused', 'operator.denied', 'token.minted'] as const).map((event) => ({
      ...noteOf(event),
      event,
    }));
    const operators = stubOf(ledgerNameOf({ kind: 'operators' }));
    await operators.record({ attempt: 0, outcomes: [], refused: [], notes });
    await operators.flush();
    expect((await stored()).map((row) => row.decision)).toEqual(['deny', 'deny', null]);
  });

  it('outcomes for a ledger that was never used make no ledger', async () => {
    const answer = await ledgerOf('nobody').record({ attempt: 0, outcomes: [outcomeOf('x')], refused: [], notes: [] });
    expect(answer).toEqual({
      effect: 'recorded',
      head: { ledger: ledgerName('nobody'), seq: 0, hash: '0'.repeat(64) },
    });
    expect(await env.DIRECTORY.get(env.DIRECTORY.idFromName(DIRECTORY_NAME)).list()).toEqual([]);
  });
});

describe('the directory', () => {
  it('knows each ledger before its first row, by kind and agent', async () => {
    await ledgerOf('agent-1').admit(callOf());
    await ledgerOf('agent-1').admit(callOf());
    await stubOf(ledgerNameOf({ kind: 'anonymous' })).record({
      attempt: 0,
      outcomes: [],
      refused: [refusedOf('r')],
      notes: [],
    });
    const entries = await env.DIRECTORY.get(env.DIRECTORY.idFromName(DIRECTORY_NAME)).list();
    expect(entries.map(({ kind, agent }) => [kind, agent]).sort()).toEqual([
      ['agent', 'agent-1'],
      ['anonymous', null],
    ]);
  });

  it('knows an agent of whom first an operator wrote, or who was first refused', async () => {
    await ledgerOf('noted').record({ attempt: 0, outcomes: [], refused: [], notes: [noteOf('n', 'noted')] });
    const refused = refusedOf('r');
    const ofAgent = { ...refused, call: { ...refused.call, agent: 'refused' } };
    await ledgerOf('refused').record({ attempt: 0, outcomes: [], refused: [ofAgent], notes: [] });
    const entries = await env.DIRECTORY.get(env.DIRECTORY.idFromName(DIRECTORY_NAME)).list();
    expect(entries.map(({ kind, agent }) => [kind, agent]).sort()).toEqual([
      ['agent', 'noted'],
      ['agent', 'refused'],
    ]);
  });

  it('keeps of a ledger that comes again since when it knows it', async () => {
    await ledgerOf().admit(callOf());
    const directory = env.DIRECTORY.get(env.DIRECTORY.idFromName(DIRECTORY_NAME));
    const [before] = await directory.list();
    await scheduler.wait(5);
    await directory.register({ ledger: ledgerName(), kind: 'agent', agent: 'agent-1' });
    expect(await directory.list()).toEqual([before]);
  });

  it('lists page by page', async () => {
    for (const agent of ['a', 'b', 'c']) await ledgerOf(agent).admit(callOf({ agent }));
    const directory = env.DIRECTORY.get(env.DIRECTORY.idFromName(DIRECTORY_NAME));
    const first = await directory.list({ limit: 2 });
    const second = await directory.list({ limit: 2, after: first[1]?.ledger ?? '' });
    expect([...first, ...second].map((entry) => entry.agent).sort()).toEqual(['a', 'b', 'c']);
  });

  it('no page is endless or empty, whatever is asked for', async () => {
    for (const agent of ['a', 'b']) await ledgerOf(agent).admit(callOf({ agent }));
    const directory = env.DIRECTORY.get(env.DIRECTORY.idFromName(DIRECTORY_NAME));
    expect(await directory.list({ limit: 0 })).toHaveLength(1);
    await runInDurableObject(directory, (_, { storage }) => {
      for (let i = 0; i < 1_000; i += 1)
        storage.sql.exec(
          'INSERT INTO ledgers (ledger, kind, agent, created_at, active_at) VALUES (?, ?, NULL, 0, 0)',
          `x${i}`,
          'agent',
        );
    });
    expect(await directory.list({ limit: 5_000 })).toHaveLength(1_000);
  });
});
