import { reset, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApprovalsDesk } from '../../../src/approvals/desk.ts';
import { linkOf } from '../../../src/approvals/link.ts';
import { Notes } from '../../../src/approvals/notes.ts';
import { opened } from '../../../src/approvals/state.ts';
import { ApprovalStore } from '../../../src/approvals/store.ts';
import type { LedgerEvents } from '../../../src/ledger/contract.ts';
import { ask, decide, desk, inLedger, pending, stateOf } from '../../support/ledger-desk.ts';
import { env, fillLedger, ledgerName, ledgerOf, migrate, stored } from '../../support/ledger-world.ts';
import { questionOf } from '../../support/question.ts';

beforeEach(migrate);
afterEach(reset);

const inDesk = <T>(work: (storage: DurableObjectStorage) => T | Promise<T>): Promise<T> =>
  runInDurableObject(desk(), (_, { storage }) => work(storage)) as Promise<T>;
const nextAlarm = (): Promise<number | null> => inDesk((storage) => storage.getAlarm());

describe('a note for the chain', () => {
  /** Two notes of one agent, and ledgers that are asked by way of `before` and `after`. */
  const drained = (between: (send: () => Promise<unknown>, nth: number) => Promise<unknown>) =>
    inDesk(async (storage) => {
      const store = new ApprovalStore(storage.sql);
      const attempts: number[] = [];
      const record = (events: never) => {
        attempts.push((events as { attempt: number }).attempt);
        return between(() => ledgerOf().record(events), attempts.length);
      };
      const ledgers = { idFromName: () => null, get: () => ({ record }) } as never;
      let stuck = 0;
      const notes = new Notes(store, ledgers, () => (stuck += 1));
      const approval = opened('approval-1', questionOf(), Date.now());
      const add = (request: string) => notes.add(approval, 'approval.requested', request, null, {});
      add('request-a');
      return { notes, add, attempts, waiting: () => store.notes().length, stuck: () => stuck };
    });

  it('whose answer was lost is sent again as a repetition, and stands there once', async () => {
    const { notes, attempts, waiting, stuck } = await drained(async (send, nth) => {
      const answer = await send();
      if (nth === 1) throw new Error('lost');
      return answer;
    });
    await inDesk(async () => {
      expect([...(await notes.drain())]).toEqual(['agent-1']);
      expect([...(await notes.drain())]).toEqual([]);
      expect([attempts, waiting(), stuck()]).toEqual([[0, 1], 0, 1]);
    });
    expect(await inLedger()).toEqual(['approval.requested']);
  });

  it('is sent by one at a time: what comes meanwhile goes next, and nothing twice', async () => {
    const gate = Promise.withResolvers<void>();
    const { notes, add, attempts } = await drained(async (send, nth) => {
      if (nth === 1) await gate.promise;
      return send();
    });
    await inDesk(async () => {
      const first = notes.drain();
      add('request-b');
      const second = notes.drain();
      await scheduler.wait(20);
      expect(attempts).toEqual([0]);
      gate.resolve();
      await Promise.all([first, second]);
    });
    expect(attempts).toEqual([0, 0]);
    expect(await inLedger()).toEqual(['approval.requested', 'approval.requested']);
  });

  it("waits though another agent's went, and goes when its ledger takes it", async () => {
    await inDesk(async (storage) => {
      const store = new ApprovalStore(storage.sql);
      let down = true;
      const recorded: string[] = [];
      const ledgers = {
        idFromName: (name: string) => name,
        get: (name: string) => ({
          record: async ({ notes }: LedgerEvents) => {
            if (down && name === ledgerName('agent-1')) throw new Error('down');
            recorded.push(...notes.map(({ requestId }) => requestId));
            return { effect: 'recorded' };
          },
        }),
      } as never;
      const notes = new Notes(store, ledgers, () => {});
      for (const agent of ['agent-1', 'agent-2']) {
        const approval = opened(`approval-${agent}`, questionOf({ agent }), Date.now());
        notes.add(approval, 'approval.requested', `of-${agent}`, null, {});
      }
      expect([...(await notes.drain())]).toEqual(['agent-1']);
      expect([recorded, store.notes().map(({ agent }) => agent)]).toEqual([['of-agent-2'], ['agent-1']]);
      down = false;
      expect([...(await notes.drain())]).toEqual([]);
      expect([recorded, store.notes()]).toEqual([['of-agent-2', 'of-agent-1'], []]);
    });
  });

  it('that the ledger could not take goes there by itself, soon', async () => {
    const id = await pending();
    await fillLedger();
    await decide(id);
    expect(await nextAlarm()).toBeLessThan(Date.now() + 60_000);
    await migrate();
    await ledgerOf().flush();
    await runDurableObjectAlarm(desk());
    expect((await inLedger()).filter((event) => event.startsWith('approval.'))).toEqual(['approval.approved']);
  });
});

it('the chain tells of a question and its end whose it was, of what, by whom and how', async () => {
  const id = await pending({ count: 2, reviewers: 'finance' });
  for (const [operator, names] of [
    ['alice', ['finance']],
    ['bob', ['bob', 'finance']],
  ] as const)
    await desk().decide(
      {
        id,
        decider: { operator, names: [...names], admin: false, minted: false },
        decision: { verdict: 'approve', scope: 'once', via: 'cli', reason: 'so be it' },
        link: null,
      },
      `by-${operator}`,
    );
  await desk().revoked(id);
  await ledgerOf().flush();
  const rows = (await stored()) as unknown as Record<string, unknown>[];
  for (const row of rows)
    expect(row).toMatchObject({ agent: 'agent-1', session: 'session-1', token_id: 'token-1', capability: 'bank:pay' });
  const told = rows.map((row) => [row['event'], row['operator'], JSON.parse(String(row['detail']))]);
  const of = { approval: id, request: 'binding-1' };
  const yes = { ...of, via: 'cli', scope: 'once', words: 'so be it' };
  expect(told).toEqual([
    ['approval.requested', null, expect.objectContaining({ ...of, method: 'POST', count: 2, reviewers: 'finance' })],
    ['approval.approved', 'alice', { ...yes, votes: '1/2' }],
    ['approval.approved', 'bob', { ...yes, votes: '2/2' }],
    ['approval.expired', null, { ...of, why: 'revoked', was: 'approved' }],
  ]);
});

describe('what the desk does by itself', () => {
  it('it does again: each question has its alarm', async () => {
    await pending({ ttlMs: 100 });
    await scheduler.wait(150);
    await runDurableObjectAlarm(desk());
    await pending({ binding: 'binding-2' });
    expect(await nextAlarm()).not.toBeNull();
  });

  it('a yes that nobody has used comes to its end, and the chain tells', async () => {
    const id = await pending();
    await decide(id);
    await inDesk((storage) => void storage.sql.exec('UPDATE approvals SET expires_at = 1'));
    await runDurableObjectAlarm(desk());
    expect(await stateOf(id)).toBe('expired');
    expect(await inLedger()).toEqual(['approval.requested', 'approval.approved', 'approval.expired']);
  });

  it('a link that was used stays so when it has tidied up', async () => {
    const id = await pending({ count: 2 });
    const nonce = '99999999-8888-4777-8666-555555555555';
    const link = linkOf('a secret of more than thirty-two characters', id, nonce, Date.now() + 60_000);
    expect((await decide(id, 'alice', { link })).kind).toBe('ok');
    await runDurableObjectAlarm(desk());
    expect(await decide(id, 'bob', { link })).toEqual({ kind: 'link_used' });
  });
});

it('what was used, or has ended, is no open question, and leaves room for others', async () => {
  for (const binding of ['a', 'b', 'c']) {
    const id = await pending({ binding });
    await decide(id);
    if (binding === 'c') await desk().revoked(id);
    else await desk().used(id, `request-${binding}`);
  }
  expect((await ask({ binding: 'd' })).kind).toBe('pending');
});

it('where no secret signs links, none is one', async () => {
  const id = await pending();
  const link = linkOf('', id, '99999999-8888-4777-8666-555555555555', Date.now() + 60_000);
  const { KEYWARDEN_WEBHOOK_SECRET: _, ...without } = env;
  const answer = await runInDurableObject(desk(), (_, state) =>
    new ApprovalsDesk(state, without).decide(
      {
        id,
        decider: { operator: 'alice', names: ['alice'], admin: false, minted: false },
        decision: { verdict: 'approve', scope: 'once', via: 'api', reason: null },
        link,
      },
      'request',
    ),
  );
  expect(answer).toEqual({ kind: 'link_used' });
});

describe('of what was asked long ago', () => {
  it('more than an hour ago nothing counts against the bound of an hour', async () => {
    for (const binding of ['a', 'b', 'c', 'd', 'e'])
      await decide(await pending({ binding }), 'alice', { verdict: 'deny' });
    expect(await ask({ binding: 'f' })).toMatchObject({ kind: 'flood', bound: 'hourly' });
    await inDesk((storage) => void storage.sql.exec('UPDATE approvals SET created_at = created_at - 3600001'));
    expect(await ask({ binding: 'f' })).toMatchObject({ kind: 'pending' });
  });

  it('and the same, however often, the newest counts', async () => {
    await desk().used(await pending(), 'request');
    await inDesk(({ sql }) => {
      const old =
        "SELECT id || '-' || ?1, agent, session, binding, alike_key, 'used', created_at - 86400000 - ?1, expires_at";
      for (let i = 0; i < 30; i++)
        sql.exec(
          `INSERT INTO approvals ${old}, replace(approval, '"pending"', '"used"'), shown FROM approvals LIMIT 1`,
          i,
        );
    });
    const id = await pending();
    expect(await pending(), 'it is asked once').toBe(id);
    await decide(id);
    expect(await ask()).toMatchObject({ kind: 'granted', grant: { id } });
  });

  it('the list is of one session where one is asked for, and goes on after what was seen', async () => {
    const ids = [];
    for (const binding of ['a', 'b', 'c'])
      ids.push(await pending({ binding, session: binding === 'b' ? 's-2' : 's-1' }));
    const list = async (more: object) => {
      const query = { state: null, agent: null, session: null, limit: 10, before: null, ...more };
      return (await desk().list(query)).map((one) => one.approval);
    };
    expect((await list({ session: 's-2' })).map(({ id }) => id)).toEqual([ids[1]]);
    const [first, ...rest] = await list({});
    const before = { at: first?.createdAt ?? 0, id: first?.id ?? '' };
    expect((await list({ before })).map(({ id }) => id)).toEqual(rest.map(({ id }) => id));
  });
});
