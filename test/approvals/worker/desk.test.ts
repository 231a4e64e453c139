import { evictDurableObject, reset, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { linkOf } from '../../../src/approvals/link.ts';
import type { Question } from '../../../src/approvals/state.ts';
import { ApprovalStore } from '../../../src/approvals/store.ts';
import { ask, askOf, decide, desk, inLedger, pending, stateOf } from '../../support/ledger-desk.ts';
import { env, fillLedger, ledgerOf, migrate } from '../../support/ledger-world.ts';

beforeEach(migrate);
afterEach(reset);

describe('the desk', () => {
  it('has one question for one request, and a yes that stands in the chain before it counts', async () => {
    const id = await pending();
    expect(await pending()).toBe(id);
    expect((await desk().get(id))?.approval.asks).toBe(2);
    await scheduler.wait(5);
    await decide(id);
    expect(await ask()).toEqual({
      kind: 'granted',
      grant: {
        id,
        uses: 1,
        goodForMs: 600_000,
        asker: { session: 'session-1', tokenId: 'token-1', issuedAtMs: 1_000_000 },
      },
    });
    expect(await inLedger()).toEqual(['approval.requested', 'approval.approved']);
  });

  it('remembers after its eviction what was asked and decided', async () => {
    const id = await pending();
    await evictDurableObject(desk());
    expect(await pending()).toBe(id);
    await decide(id);
    await evictDurableObject(desk());
    expect(await ask()).toMatchObject({ kind: 'granted', grant: { id } });
  });

  it('asks nothing anew for a call that waited, when another used the yes', async () => {
    const id = await pending();
    await decide(id);
    await desk().used(id, 'the faster one');
    expect(await ask({}, id)).toEqual({ kind: 'used', id });
    expect(await ask({ binding: 'binding-2' }, 'no-such-id')).toMatchObject({ kind: 'pending' });
    expect(await pending(), 'who did not wait asks anew').not.toBe(id);
  });

  it('takes a use, an end of the yes and an unknown id for what they are', async () => {
    const [used, exhausted] = [await pending({ count: 1 }), await pending({ binding: 'binding-2' })];
    for (const id of [used, exhausted]) await decide(id);
    await desk().used(used, 'request');
    await desk().exhausted(exhausted);
    expect([await stateOf(used), await stateOf(exhausted)]).toEqual(['used', 'used']);
    await desk().used('no-such-id', 'request');
    await desk().exhausted('no-such-id');
    await desk().revoked('no-such-id');
    expect(await desk().get('no-such-id')).toBeNull();
    expect(await decide('no-such-id')).toEqual({ kind: 'unknown' });
    expect(await desk().wait('no-such-id', 10_000)).toBe('expired');
  });

  it('writes a decision once, however often it is said', async () => {
    const id = await pending();
    for (let i = 0; i < 3; i += 1) expect((await decide(id)).kind).toBe('ok');
    expect(await decide(id, 'bob')).toMatchObject({ kind: 'refused', why: { kind: 'decided', by: 'alice' } });
    expect(await inLedger()).toEqual(['approval.requested', 'approval.approved']);
  });

  it('has a bound on the open questions of one agent, and on those of an hour', async () => {
    const ids = [];
    for (const binding of ['a', 'b', 'c']) ids.push(await pending({ binding }));
    expect(await ask({ binding: 'd' })).toEqual({ kind: 'flood', bound: 'pending', most: 3 });
    expect((await ask({ binding: 'other', agent: 'agent-2' })).kind).toBe('pending');
    for (const id of ids) await decide(id, 'alice', { verdict: 'deny' });
    for (const binding of ['d', 'e']) await decide(await pending({ binding }), 'alice', { verdict: 'deny' });
    expect(await ask({ binding: 'f' })).toEqual({ kind: 'flood', bound: 'hourly', most: 5 });
  });

  it('tells the chain no value of a query', async () => {
    await pending();
    await ledgerOf().flush();
    const row = await env.DB.prepare('SELECT detail FROM audit').first<{ detail: string }>();
    expect(row?.detail).toContain('https://bank.example/v1/payments"');
    expect(row?.detail).not.toContain('hunter2');
  });
});

describe('a decision link', () => {
  const SECRET = 'a secret of more than thirty-two characters';
  const NONCE = '99999999-8888-4777-8666-555555555555';
  const later = () => Date.now() + 60_000;

  it('is burnt by the decision that it came with, and by no refused one', async () => {
    const id = await pending({ count: 2 });
    const link = linkOf(SECRET, id, NONCE, later());
    expect((await decide(id, 'agent-1', { link })).kind).toBe('refused');
    expect((await decide(id, 'alice', { link })).kind).toBe('ok');
    expect(await decide(id, 'bob', { link })).toEqual({ kind: 'link_used' });
    expect(await stateOf(id)).toBe('pending');
    expect((await decide(id, 'bob')).kind).toBe('ok');
    expect(await stateOf(id)).toBe('approved');
  });

  it('of another approval, too old, by another secret or none at all decides nothing', async () => {
    const [id, other] = [await pending(), await pending({ binding: 'binding-2' })];
    for (const link of [
      linkOf(SECRET, other, NONCE, later()),
      linkOf(SECRET, id, NONCE, Date.now() - 1000),
      linkOf('another secret of more than thirty-two', id, NONCE, later()),
      NONCE,
      '',
    ])
      expect(await decide(id, 'alice', { link }), link).toEqual({ kind: 'link_used' });
    expect(await stateOf(id)).toBe('pending');
  });
});

describe('a question that comes to its end', () => {
  it('by time: who waits hears of it, nobody decides it any more, and the chain tells', async () => {
    const id = await pending({ ttlMs: 300 });
    expect(await desk().wait(id, 10_000)).toBe('expired');
    expect(await stateOf(id)).toBe('expired');
    expect(await decide(id)).toMatchObject({ kind: 'refused', why: { kind: 'decided', state: 'expired' } });
    expect(await pending()).not.toBe(id);
    expect(await inLedger()).toEqual(['approval.requested', 'approval.expired', 'approval.requested']);
  });

  it('by its alarm, though nobody asks', async () => {
    const id = await pending({ ttlMs: 200 });
    await scheduler.wait(250);
    await runDurableObjectAlarm(desk());
    expect(await inLedger()).toEqual(['approval.requested', 'approval.expired']);
    expect(await stateOf(id)).toBe('expired');
  });

  it('by the revocation of its token, also after the yes', async () => {
    const [open, agreed] = [await pending(), await pending({ binding: 'binding-2' })];
    await decide(agreed);
    const waited = desk().wait(open, 10_000);
    await desk().revoked(open);
    await desk().revoked(agreed);
    // Long before the wait would end by itself.
    expect(await Promise.race([waited, scheduler.wait(3_000)])).toBe('expired');
    expect([await stateOf(open), await stateOf(agreed)]).toEqual(['expired', 'expired']);
    expect((await decide(open)).kind).toBe('refused');
    expect((await ask({ binding: 'binding-2' })).kind).toBe('pending');
  });

  it('by a yes to its kin, which wakes who waits for it', async () => {
    const kind = { alikeKey: 'kind', alikeCount: 2, alikeForMs: 60_000 };
    const [first, second] = [await pending(kind), await pending({ ...kind, binding: 'binding-2' })];
    const waited = desk().wait(second, 10_000);
    await decide(first, 'alice', { scope: 'alike' });
    expect(await Promise.race([waited, scheduler.wait(3_000)])).toBe('kin');
    expect(await ask({ ...kind, binding: 'binding-2' }, second)).toMatchObject({
      kind: 'granted',
      grant: { id: first },
    });
    expect((await desk().get(second))?.approval).toMatchObject({ state: 'expired', reason: 'superseded' });
    expect((await decide(second)).kind).toBe('refused');
  });
});

describe('who waits', () => {
  it('hears of a decision, at once of one that was made before, and of none when the time is over', async () => {
    const id = await pending();
    expect(await desk().wait(id, 20)).toBe('pending');
    const waited = desk().wait(id, 10_000);
    await decide(id, 'alice', { verdict: 'deny' });
    expect(await waited).toBe('denied');
    expect(await Promise.race([desk().wait(id, 10_000), scheduler.wait(3_000)])).toBe('denied');
    expect(await ask()).toEqual({ kind: 'denied', id });
  });

  it('is one of a hundred of an agent at most', async () => {
    const id = await pending();
    const waiting = Array.from({ length: 100 }, () => desk().wait(id, 10_000));
    await scheduler.wait(50);
    expect(await desk().wait(id, 10_000)).toBe('full');
    expect(await desk().wait(await pending({ agent: 'agent-2', binding: 'binding-2' }), 20)).toBe('pending');
    await decide(id);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['approved']));
  });
});

describe('a ledger that takes no row', () => {
  it('keeps the desk from asking, and from granting what was agreed to', async () => {
    const id = await pending();
    await fillLedger();
    await decide(id);
    // The rejection is looked at inside the object: across the border workerd tells of it twice.
    const why = (more: Partial<Question>) =>
      runInDurableObject(desk(), (it) => it.ask(askOf(more, null)).then(() => '', String));
    expect(await why({})).toContain('the decision could not be recorded');
    expect(await why({ binding: 'binding-2' })).toContain('the question could not be recorded');
    await migrate();
    await ledgerOf().flush();
    expect((await ask()).kind).toBe('granted');
    expect((await inLedger()).filter((event) => event.startsWith('approval.'))).toEqual([
      'approval.approved',
      'approval.requested',
    ]);
  });
});

it('what was decided long ago is forgotten, and an open question is not', async () => {
  const [open, done] = [await pending(), await pending({ binding: 'binding-2' })];
  await decide(done, 'alice', { verdict: 'deny' });
  await runInDurableObject(desk(), (_, { storage }) => {
    storage.sql.exec('UPDATE approvals SET created_at = created_at - ?', 31 * 86_400_000);
  });
  await runDurableObjectAlarm(desk());
  expect([await stateOf(open), await stateOf(done)]).toEqual(['pending', undefined]);
});

it('what was to be delivered by a webhook that is no more keeps the desk from no sleep', async () => {
  const id = await pending();
  await runInDurableObject(desk(), (_, { storage }) => {
    storage.sql.exec('INSERT INTO deliveries VALUES (?, ?, 0, ?)', id, 'nonce', Date.now());
  });
  await runDurableObjectAlarm(desk());
  const alarm = await runInDurableObject(desk(), (_, { storage }) => storage.getAlarm());
  expect(alarm).toBe((await desk().get(id))?.approval.expiresAt);
});

it('what an agent asks now is counted without reading all that it ever asked', async () => {
  await pending();
  const read = await runInDurableObject(desk(), (_, { storage }) => {
    storage.sql.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
      INSERT INTO approvals SELECT 'old' || i, agent, session, binding || i, NULL, 'denied', i, i, approval, shown
        FROM n, (SELECT * FROM approvals LIMIT 1)`);
    const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
    const exec = (query: string, ...values: SqlStorageValue[]) => {
      const cursor = storage.sql.exec(query, ...values);
      cursors.push(cursor);
      return cursor;
    };
    const store = new ApprovalStore({ exec } as unknown as SqlStorage);
    const made = cursors.length;
    expect(store.pendingCount('agent-1')).toBe(1);
    return cursors.slice(made).reduce((sum, { rowsRead }) => sum + rowsRead, 0);
  });
  expect(read).toBeLessThan(10);
});

it('only a WebSocket may listen', async () => {
  expect((await desk().fetch('https://desk/live')).status).toBe(426);
});

it('as many listen as there is room for, and who leaves makes room', async () => {
  const listen = () => desk().fetch('https://desk/live', { headers: { upgrade: 'websocket' } });
  const seats: WebSocket[] = [];
  for (let i = 0; i < 200; i += 1) {
    const { status, webSocket } = await listen();
    expect([i, status]).toEqual([i, 101]);
    webSocket?.accept();
    seats.push(webSocket as WebSocket);
  }
  expect((await listen()).status).toBe(503);
  seats[0]?.close();
  await expect.poll(async () => (await listen()).status).toBe(101);
});
