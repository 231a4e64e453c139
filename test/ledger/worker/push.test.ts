import { evictDurableObject, reset, runInDurableObject } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AdmitAnswer } from '../../../src/ledger/contract.ts';
import type { Ledger } from '../../../src/ledger/ledger.ts';
import { LedgerLog } from '../../../src/ledger/log.ts';
import {
  breakD1,
  callOf,
  env,
  events,
  ledgerName,
  ledgerOf,
  mendD1,
  migrate,
  outcomeOf,
  stored,
} from '../../support/ledger-world.ts';

beforeEach(migrate);
afterEach(reset);

/** Rows that the object itself still takes for not sent. */
const waiting = (agent?: string): Promise<number> =>
  runInDurableObject(
    ledgerOf(agent),
    (_, state) =>
      state.storage.sql
        .exec(
          `SELECT coalesce(max(last), 0) - (SELECT coalesce(sum(through), 0) FROM pushed)
             + (SELECT coalesce(sum(json_array_length(conflicts)), 0) FROM pushed) AS n FROM log`,
        )
        .one()['n'] as number,
  );
const kept = (): Promise<number> =>
  runInDurableObject(
    ledgerOf(),
    (_, state) => state.storage.sql.exec('SELECT count(*) AS n FROM log').one()['n'] as number,
  );
const alarm = (): Promise<void> => runInDurableObject(ledgerOf(), (ledger: Ledger) => ledger.alarm());
const until = async (holds: () => Promise<boolean>): Promise<void> => {
  for (let round = 0; round < 160 && !(await holds()); round++) await scheduler.wait(50);
};

describe('rows reach D1', () => {
  it('by themselves, soon after the first', async () => {
    await ledgerOf().admit(callOf());
    await until(async () => (await stored()).length === 1);
    expect(await events()).toEqual(['call.admitted']);
  });

  it('as soon when the ledger had rested, and is to be woken much later for something else', async () => {
    const denied = () => ledgerOf().admit(callOf({ denial: { kind: 'operation_unknown' } }));
    for (let i = 0; i < 2; i++) await denied();
    await until(async () => (await stored()).length === 2);
    const nextAlarm = () => runInDurableObject(ledgerOf(), (_, { storage }) => storage.getAlarm());
    await until(async () => ((await nextAlarm()) ?? 0) > Date.now() + 30_000);
    await denied();
    expect(await nextAlarm()).toBeLessThan(Date.now() + 5_000);
    await until(async () => (await stored()).length === 3);
    expect(await events()).toEqual(['call.denied', 'call.denied', 'call.denied']);
  });

  it('in batches, all of them, once', async () => {
    await Promise.all(Array.from({ length: 250 }, () => ledgerOf().admit(callOf())));
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 0, conflicts: [], head: { seq: 250 } });
    expect((await stored()).map((row) => row.seq)).toEqual(Array.from({ length: 250 }, (_, index) => index + 1));
    expect(await waiting()).toBe(0);
  });

  it('once, though the answer of the first push was lost, and whatever rows others have', async () => {
    for (const agent of ['agent-1', 'agent-2']) {
      for (let i = 0; i < 3; i++) await ledgerOf(agent).admit(callOf({ agent }));
      await ledgerOf(agent).flush();
    }
    const before = await stored();
    for (const ledger of [ledgerOf('agent-1'), ledgerOf('agent-2')]) {
      await runInDurableObject(ledger, (_, state) => void state.storage.sql.exec('DELETE FROM pushed'));
      await evictDurableObject(ledger);
      expect(await ledger.flush()).toMatchObject({ waitingRows: 0, conflicts: [] });
    }
    expect(await stored()).toEqual(before);
  });

  it('from parallel flushes, once', async () => {
    await Promise.all(Array.from({ length: 50 }, () => ledgerOf().admit(callOf())));
    await Promise.all(Array.from({ length: 8 }, () => ledgerOf().flush()));
    expect(await stored()).toHaveLength(50);
    expect(await waiting()).toBe(0);
  });

  it('and leave the object when no repeated send can ask for them', async () => {
    const call = callOf();
    await ledgerOf().admit(call);
    await ledgerOf().record({ attempt: 0, outcomes: [outcomeOf(call.requestId)], refused: [], notes: [] });
    await ledgerOf().flush();
    await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE log SET at = at - 70000'));
    await alarm();
    // The last group stays, for the chain's head is in it.
    expect(await kept()).toBe(1);
  });

  it('while an answer that is still open is kept apart, and recorded when it ends', async () => {
    const call = callOf();
    await ledgerOf().admit(call);
    await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE log SET at = at - 70000'));
    await alarm();
    expect(await kept()).toBe(1);
    await evictDurableObject(ledgerOf());
    for (const attempt of [0, 1])
      await ledgerOf().record({ attempt, outcomes: [outcomeOf(call.requestId)], refused: [], notes: [] });
    await ledgerOf().flush();
    expect((await events()).filter((event) => event === 'call.completed')).toHaveLength(1);
  });

  it('where it is written once, and not with every push', async () => {
    for (let i = 0; i < 2; i++) await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    const written = await runInDurableObject(ledgerOf(), (_, { storage }) => {
      const said: string[] = [];
      const exec = (query: string, ...values: SqlStorageValue[]) => {
        said.push(query);
        return storage.sql.exec(query, ...values);
      };
      const log = new LedgerLog({ exec } as unknown as SqlStorage);
      const forget = (): string[] => {
        said.splice(0);
        log.forget(Date.now() + 1, log.readPushed(), log.openEntries());
        return said.filter((query) => /^(INSERT|DELETE|UPDATE).*stragglers/s.test(query));
      };
      return [forget().length, forget().length];
    });
    expect(written).toEqual([1, 0]);
  });

  it('in several parts, when one group is larger than SQLite takes as one value', async () => {
    const path = `/${'x'.repeat(30_000)}`;
    await Promise.all(
      Array.from({ length: 80 }, () => {
        const call = callOf();
        return ledgerOf().admit({ ...call, call: { ...call.call, path } });
      }),
    );
    await evictDurableObject(ledgerOf());
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 0, conflicts: [], head: { seq: 80 } });
    expect(await stored()).toHaveLength(80);
  });
});

describe('while D1 is down', () => {
  it('calls go on, rows wait through eviction, and all of them arrive when it is back', async () => {
    await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    await breakD1();
    for (let i = 0; i < 5; i++) expect((await ledgerOf().admit(callOf())).effect).toBe('admitted');
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 5, head: { seq: 6 } });
    await evictDurableObject(ledgerOf());
    await mendD1();
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 0 });
    expect((await stored()).map((row) => row.seq)).toEqual([2, 3, 4, 5, 6]);
  });

  it('rows that D1 does not hold stay in the object, however long that takes', async () => {
    await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    await breakD1();
    for (let i = 0; i < 3; i++) await ledgerOf().admit(callOf());
    for (let round = 0; round < 2; round++) {
      await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE log SET at = at - 70000'));
      await alarm();
    }
    expect(await waiting()).toBe(3);
    await evictDurableObject(ledgerOf());
    await mendD1();
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 0, head: { seq: 4 } });
    expect((await stored()).map((row) => row.seq)).toEqual([2, 3, 4]);
  });

  it('the alarm tries again by itself', async () => {
    await breakD1();
    await ledgerOf().admit(callOf());
    await alarm();
    await mendD1();
    await until(async () => (await stored()).length === 1);
    expect(await stored()).toHaveLength(1);
  });

  it('it is asked more and more rarely', async () => {
    await breakD1();
    await ledgerOf().admit(callOf());
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      const next = await runInDurableObject(ledgerOf(), async (ledger: Ledger, { storage }) => {
        await ledger.alarm();
        return storage.getAlarm();
      });
      waits.push((next ?? 0) - Date.now());
    }
    // Two seconds, four, eight, sixteen: but for what this machine took.
    expect(waits[3]).toBeGreaterThan((waits[0] ?? 0) + 5_000);
    expect(waits[3]).toBeLessThanOrEqual(30_000);
  });

  it('a full ledger admits nothing and charges nothing, still takes the outcomes of what it admitted, and recovers', async () => {
    await breakD1();
    const calls = Array.from({ length: 320 }, () => callOf());
    const answers = (await Promise.all(calls.map((call) => ledgerOf().admit(call)))) as AdmitAnswer[];
    expect(answers.filter((answer) => answer.effect === 'admitted')).toHaveLength(300);
    expect(answers.filter((answer) => answer.effect === 'full')).toHaveLength(20);
    expect(await ledgerOf().admit(callOf({ denial: { kind: 'operation_unknown' } }))).toEqual({
      effect: 'full',
      waitingRows: 300,
    });
    await evictDurableObject(ledgerOf());
    expect((await ledgerOf().admit(callOf())).effect).toBe('full');
    const done = calls[0]?.requestId ?? '';
    expect(await ledgerOf().admit(callOf({ outcomes: [outcomeOf(done)] }))).toEqual({
      effect: 'full',
      waitingRows: 301,
    });
    await mendD1();
    await ledgerOf().flush();
    expect((await stored()).filter((row) => row.request_id === done).map((row) => row.event)).toEqual([
      'call.admitted',
      'call.completed',
    ]);
    expect((await ledgerOf().admit(callOf())).effect).toBe('admitted');
  });
});

describe('an intent whose outcome never comes', () => {
  /** As if an hour had passed. */
  const overdue = async (): Promise<void> => {
    await runInDurableObject(
      ledgerOf(),
      (_, state) => void state.storage.sql.exec('UPDATE log SET wires = replace(wires, at, at - 3600000)'),
    );
    await evictDurableObject(ledgerOf());
  };

  it('is closed as unknown, once', async () => {
    await ledgerOf().admit(callOf());
    await alarm();
    expect(await events()).toEqual(['call.admitted']);
    await overdue();
    await alarm();
    await alarm();
    await evictDurableObject(ledgerOf());
    await alarm();
    await ledgerOf().flush();
    expect(await events()).toEqual(['call.admitted', 'call.unknown']);
  });

  it("by the alarm's own doing", async () => {
    await ledgerOf().admit(callOf());
    await until(async () => (await events()).length === 2);
    expect(await events()).toEqual(['call.admitted', 'call.unknown']);
  });

  it('and a late outcome is still recorded, once', async () => {
    const call = callOf();
    await ledgerOf().admit(call);
    await overdue();
    await alarm();
    await evictDurableObject(ledgerOf());
    for (const attempt of [0, 1])
      await ledgerOf().record({ attempt, outcomes: [outcomeOf(call.requestId)], refused: [], notes: [] });
    await ledgerOf().flush();
    expect(await events()).toEqual(['call.admitted', 'call.unknown', 'call.completed']);
  });

  it('is one whose answer failed no more than one whose answer came', async () => {
    const call = callOf();
    await ledgerOf().admit(call);
    const failed = outcomeOf(call.requestId, { event: 'call.failed', status: null, reason: 'upstream_timeout' });
    await ledgerOf().record({ attempt: 0, outcomes: [failed], refused: [], notes: [] });
    await overdue();
    await alarm();
    await ledgerOf().flush();
    expect(await events()).toEqual(['call.admitted', 'call.failed']);
  });

  it('is closed once, though it was set apart before, and the log has forgotten its end', async () => {
    const forgotten = async (): Promise<void> => {
      await ledgerOf().admit(callOf({ denial: { kind: 'operation_unknown' } }));
      await ledgerOf().flush();
      await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE log SET at = at - 70000'));
      await alarm();
      expect(await kept()).toBe(1);
    };
    const call = callOf();
    await ledgerOf().admit(call);
    await forgotten();
    // As long as the tests' environment waits for an outcome.
    await scheduler.wait(3_100);
    await alarm();
    await forgotten();
    await evictDurableObject(ledgerOf());
    await alarm();
    await ledgerOf().flush();
    const ofCall = (await stored()).filter((row) => row.request_id === call.requestId);
    expect(ofCall.map((row) => row.event)).toEqual(['call.admitted', 'call.unknown']);
  });

  it('is closed once, and its late outcome taken once, though the log has forgotten it meanwhile', async () => {
    const call = callOf();
    await ledgerOf().admit(call);
    await overdue();
    await alarm();
    const other = callOf();
    await ledgerOf().admit(other);
    const outcomes = [outcomeOf(other.requestId)];
    await ledgerOf().record({ attempt: 0, outcomes, refused: [], notes: [] });
    await ledgerOf().flush();
    for (let round = 0; round < 2; round++) {
      await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE log SET at = at - 70000'));
      await alarm();
      expect(await kept()).toBe(1);
      await evictDurableObject(ledgerOf());
      await alarm();
    }
    for (const attempt of [0, 1])
      await ledgerOf().record({ attempt, outcomes: [outcomeOf(call.requestId)], refused: [], notes: [] });
    await ledgerOf().flush();
    const ofCall = (await stored()).filter((row) => row.request_id === call.requestId);
    expect(ofCall.map((row) => row.event)).toEqual(['call.admitted', 'call.unknown', 'call.completed']);
    const what = { agent: 'agent-1', service: 'stripe', method: 'GET', path: '/v1/balance' };
    expect(ofCall[1]).toMatchObject({ ...what, reason: 'outcome_never_came' });
    expect(ofCall[2]).toMatchObject(what);
  });
});

describe("a row that was planted in D1 where the ledger's own shall stand", () => {
  const plant = async (change: string): Promise<void> => {
    await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    // The ledger's own second row, but for one column, put there before the ledger sends it.
    await env.DB.prepare(`UPDATE audit SET ${change} WHERE seq = 2`).run();
    await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE pushed SET through = 1'));
    await evictDurableObject(ledgerOf());
  };

  it.each([
    ["hash = 'x'"],
    ["agent = 'x'"],
    ['status = 200'],
    ['detail = \'{"x":1}\''],
    ["prev_hash = 'x'"],
    ['path = NULL'],
  ])('is noticed (%s), and the true row is kept', async (change) => {
    await plant(change);
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 1, conflicts: [2] });
    expect(await waiting()).toBe(1);
  });

  it('does not keep later rows from arriving, and gives way when it is removed', async () => {
    await plant("agent = 'x'");
    await ledgerOf().admit(callOf());
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 1, conflicts: [2] });
    expect((await stored()).map((row) => row.seq)).toEqual([1, 2, 3]);
    await env.DB.prepare('DELETE FROM audit WHERE seq = 2').run();
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 0, conflicts: [] });
    expect((await stored()).find((row) => row.seq === 2)).toMatchObject({ ledger: ledgerName(), agent: 'agent-1' });
  });

  it('nor does a row reach D1 that D1 swallows, until it takes it', async () => {
    await env.DB.prepare(
      'CREATE TRIGGER swallow BEFORE INSERT ON audit WHEN new.seq = 2 BEGIN SELECT RAISE(IGNORE); END',
    ).run();
    for (let i = 0; i < 3; i++) await ledgerOf().admit(callOf());
    for (let i = 0; i < 2; i++) expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 1, conflicts: [2] });
    await env.DB.prepare('DROP TRIGGER swallow').run();
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 0, conflicts: [] });
    expect((await stored()).map((row) => row.seq)).toEqual([1, 2, 3]);
  });

  it('does so in the middle of a group, too', async () => {
    await runInDurableObject(ledgerOf(), (ledger) =>
      Promise.all(Array.from({ length: 3 }, () => ledger.admit(callOf({ inFlight: 3 })))),
    );
    expect(await kept()).toBe(1);
    await ledgerOf().flush();
    await env.DB.prepare("UPDATE audit SET agent = 'x' WHERE seq = 2").run();
    await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE pushed SET through = 0'));
    await evictDurableObject(ledgerOf());
    for (let i = 0; i < 2; i++) expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 1, conflicts: [2] });
    // The group is no longer the last, and old: it stays for the one row of it.
    await ledgerOf().admit(callOf());
    await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE log SET at = at - 70000'));
    await alarm();
    await env.DB.prepare('DELETE FROM audit WHERE seq = 2').run();
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 0, conflicts: [] });
    expect((await stored()).map((row) => row.agent)).toEqual(['agent-1', 'agent-1', 'agent-1', 'agent-1']);
  });

  it('is outlived by the true one, however long it stands', async () => {
    await plant("agent = 'x'");
    await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE log SET at = at - 70000'));
    await alarm();
    await env.DB.prepare('DELETE FROM audit WHERE seq = 2').run();
    expect(await ledgerOf().flush()).toMatchObject({ waitingRows: 0, conflicts: [] });
    expect((await stored()).map((row) => [row.seq, row.agent])).toEqual([1, 2, 3].map((seq) => [seq, 'agent-1']));
  });
});
