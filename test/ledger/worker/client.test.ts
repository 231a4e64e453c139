import { createExecutionContext, reset, waitOnExecutionContext } from 'cloudflare:test';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  admit,
  drainAll,
  flushAgent,
  flushAll,
  listLedgers,
  record,
  revoke,
  settle,
} from '../../../src/ledger/client.ts';
import { recordDenial } from '../../../src/pipeline/record.ts';
import {
  breakD1,
  callOf,
  env,
  events,
  ledgerName,
  ledgerOf,
  migrate,
  noteOf,
  oneAnHour,
  outcomeOf,
  refusedOf,
} from '../../support/ledger-world.ts';

beforeEach(migrate);
afterEach(async () => {
  await drainAll(env);
  await reset();
});

it('an outcome rides on the next call of its agent, without a call of its own', async () => {
  const call = callOf();
  await admit(env, call);
  const ctx = createExecutionContext();
  settle(env, ctx, 'agent-1', outcomeOf(call.requestId));
  await admit(env, callOf());
  await ledgerOf().flush();
  expect(await events()).toEqual(['call.admitted', 'call.completed', 'call.admitted']);
  await waitOnExecutionContext(ctx);
  expect((await ledgerOf().head()).seq).toBe(3);
});

it('and is swept when no call follows', async () => {
  const call = callOf();
  await admit(env, call);
  const ctx = createExecutionContext();
  settle(env, ctx, 'agent-1', outcomeOf(call.requestId));
  await waitOnExecutionContext(ctx);
  await ledgerOf().flush();
  expect(await events()).toEqual(['call.admitted', 'call.completed']);
});

it("another request takes over when the sweeper's own was cut off", async () => {
  const call = callOf();
  await admit(env, call);
  // A request whose background work never runs.
  settle(env, { waitUntil: () => undefined }, 'agent-1', outcomeOf('lost'));
  await scheduler.wait(300);
  const ctx = createExecutionContext();
  settle(env, ctx, 'agent-1', outcomeOf(call.requestId));
  await waitOnExecutionContext(ctx);
  await ledgerOf().flush();
  expect(await events()).toEqual(['call.admitted', 'call.completed']);
});

it('drainAll takes what waits now, for a reader of the audit', async () => {
  const call = callOf();
  await admit(env, call);
  settle(env, { waitUntil: () => undefined }, 'agent-1', outcomeOf(call.requestId));
  const answers = await flushAll(env);
  expect(answers).toMatchObject({ ok: true, value: [{ waitingRows: 0, head: { ledger: ledgerName(), seq: 2 } }] });
  expect(await events()).toEqual(['call.admitted', 'call.completed']);
});

it('an outcome whose ledger could not be reached is given back, and goes with the next that can', async () => {
  const unreachable = {
    LEDGER: {
      idFromName: env.LEDGER.idFromName.bind(env.LEDGER),
      get: () => {
        throw new Error('gone');
      },
    } as never,
  };
  const [first, second] = [callOf(), callOf()];
  await admit(env, first);
  await admit(env, second);
  settle(env, { waitUntil: () => undefined }, 'agent-1', outcomeOf(first.requestId));
  await drainAll(unreachable);
  expect((await admit(unreachable, callOf())).ok).toBe(false);
  const third = callOf();
  await admit(env, third);
  await ledgerOf().flush();
  expect(await events()).toEqual(['call.admitted', 'call.admitted', 'call.completed', 'call.admitted']);
});

it("a reader of one agent's rows sees the outcomes that still waited in this isolate", async () => {
  const call = callOf();
  await admit(env, call);
  settle(env, { waitUntil: () => undefined }, 'agent-1', outcomeOf(call.requestId));
  expect(await flushAgent(env, 'agent-1')).toMatchObject({ ok: true, value: { waitingRows: 0, head: { seq: 2 } } });
  expect(await events()).toEqual(['call.admitted', 'call.completed']);
});

it('a ledger that breaks is a fault that fails closed, never a throw', async () => {
  const request = callOf({ limits: [oneAnHour] });
  const broken = {
    LEDGER: {
      idFromName: () => {
        throw new Error('gone');
      },
    } as never,
  };
  expect(await admit(broken, request)).toMatchObject({
    ok: false,
    error: { kind: 'fault', code: 'ledger_unavailable' },
  });
  expect((await admit(env, request)).ok).toBe(true);
});

it('a revocation that the ledger did not take is none, and is told so', async () => {
  const broken = {
    LEDGER: {
      idFromName: env.LEDGER.idFromName.bind(env.LEDGER),
      get: () => ({ revoke: async () => Promise.reject(new Error('broken')) }),
    } as never,
  };
  const revocation = { by: 'token', tokenId: 'token-1', until: 9e15 } as const;
  expect(await revoke(broken, 'agent-1', revocation)).toMatchObject({
    ok: false,
    error: { code: 'ledger_unavailable' },
  });
  expect(await revoke(env, 'agent-1', revocation)).toEqual({ ok: true, value: null });
});

it('a no that the ledger of the agent did not take is not said', async () => {
  const gone = (): never => {
    throw new Error('gone');
  };
  const call = {
    env: { LEDGER: { idFromName: gone } },
    request: new Request('https://edge.example/proxy/bank/v1/x'),
    requestId: 'request-x',
    service: 'bank',
    rawPath: '/v1/x',
    query: '',
  };
  const { principal, denial } = callOf({ denial: { kind: 'operation_unknown' } });
  const said = (env: object) =>
    recordDenial({ ...call, env } as never, { bundle: { hash: 'p' } } as never, denial as never, principal as never);
  expect(await said(call.env)).toMatchObject({ kind: 'fault', code: 'ledger_unavailable' });
  expect(await said(env)).toEqual({ kind: 'operation_unknown' });
  await revoke(env, 'agent-1', { by: 'token', tokenId: 'token-1', until: 9e15 });
  expect(await said(env)).toEqual({ kind: 'token_revoked', by: 'token' });
});

it('revocation and notes are durable when they return, also while D1 is down', async () => {
  await breakD1();
  expect((await revoke(env, 'agent-1', { by: 'token', tokenId: 'token-1', until: 9e15 })).ok).toBe(true);
  expect(await admit(env, callOf())).toMatchObject({
    ok: true,
    value: { effect: 'denied', denial: { kind: 'token_revoked' } },
  });
  expect(await record(env, { kind: 'operators' }, { notes: [noteOf('n')] })).toEqual({ ok: true, value: null });
  expect(await flushAll(env)).toMatchObject({ ok: true, value: [{ waitingRows: 1 }, { waitingRows: 1 }] });
});

it('a note or a refused call that a full ledger does not take is a fault', async () => {
  await breakD1();
  const refused = Array.from({ length: 300 }, (_, i) => refusedOf(`r${i}`));
  expect((await record(env, { kind: 'anonymous' }, { refused })).ok).toBe(true);
  expect(await record(env, { kind: 'anonymous' }, { refused: [refusedOf('one too many')] })).toMatchObject({
    ok: false,
    error: { code: 'ledger_full' },
  });
  const notes = Array.from({ length: 300 }, (_, i) => noteOf(`n${i}`));
  expect((await record(env, { kind: 'operators' }, { notes })).ok).toBe(true);
  expect(await record(env, { kind: 'operators' }, { notes: [noteOf('one too many')] })).toMatchObject({
    ok: false,
    error: { code: 'ledger_full' },
  });
});

it('of many ledgers a reader gets all', async () => {
  const agents = Array.from({ length: 20 }, (_, i) => `agent-${i}`);
  await Promise.all(agents.map((agent) => admit(env, callOf({ agent }))));
  const answers = await flushAll(env);
  expect(answers.ok && answers.value.map(({ head }) => head.ledger).sort()).toEqual(agents.map(ledgerName).sort());
  expect(await events()).toHaveLength(20);
});

it('the directory is read to its end, page by page', async () => {
  const all = Array.from({ length: 2_500 }, (_, i) => ({ ledger: `l${10_000 + i}` }));
  const list = async ({ after, limit }: { after: string; limit: number }) =>
    all.filter(({ ledger }) => ledger > after).slice(0, limit);
  const directory = { DIRECTORY: { idFromName: () => null, get: () => ({ list }) } as never };
  expect(await listLedgers(directory)).toEqual({ ok: true, value: all });
});

it('ledgers that wait can be told from those that rest', async () => {
  await admit(env, callOf());
  expect(await listLedgers(env)).toMatchObject({ ok: true, value: [{ agent: 'agent-1' }] });
  expect(await listLedgers(env, Date.now() + 60_000)).toEqual({ ok: true, value: [] });
});
