import { evictDurableObject, reset, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listLedgers } from '../../../src/ledger/client.ts';
import type { AdmitCall } from '../../../src/ledger/contract.ts';
import { DIRECTORY_NAME } from '../../../src/ledger/contract.ts';
import { Ledger } from '../../../src/ledger/ledger.ts';
import { callOf, env, ledgerOf, migrate, outcomeOf, perHour, stored } from '../../support/ledger-world.ts';

beforeEach(migrate);
afterEach(reset);

const seqs = async (): Promise<number[]> => (await stored()).map((row) => row.seq);
// Rejections are looked at inside the objects: across the border workerd tells of them twice.
const why = (ledger: Ledger, call: AdmitCall): Promise<string> =>
  ledger.admit(call).then(({ effect }) => effect, String);

describe('what the disk does not take', () => {
  it('was not decided: nothing is charged, and no number of the chain is lost', async () => {
    const limits = [perHour(2)];
    await ledgerOf().admit(callOf({ limits }));
    const said = await runInDurableObject(ledgerOf(), async (ledger: Ledger, { storage }) => {
      storage.sql.exec('ALTER TABLE log RENAME TO away');
      const answer = await why(ledger, callOf({ limits }));
      storage.sql.exec('ALTER TABLE away RENAME TO log');
      return answer;
    });
    expect(said).toContain('no such table');
    expect((await ledgerOf().admit(callOf({ limits }))).effect).toBe('admitted');
    await ledgerOf().flush();
    expect(await seqs()).toEqual([1, 2]);
  });

  it('is nothing of a group, though its first part was written', async () => {
    const path = `/${'x'.repeat(30_000)}`;
    const said = await runInDurableObject(ledgerOf(), async (ledger: Ledger, { storage }) => {
      storage.sql.exec(
        "CREATE TRIGGER only_the_first BEFORE INSERT ON log WHEN new.first > 1 BEGIN SELECT raise(ABORT, 'no more'); END",
      );
      const calls = Array.from({ length: 40 }, () => callOf({ inFlight: 40 }));
      const answers = calls.map((call) => why(ledger, { ...call, call: { ...call.call, path } }));
      const told = new Set(await Promise.all(answers));
      storage.sql.exec('DROP TRIGGER only_the_first');
      return [...told];
    });
    expect(said).toEqual([expect.stringContaining('no more')]);
    await evictDurableObject(ledgerOf());
    await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    expect(await seqs()).toEqual([1]);
  });

  it('is not the charge: what was used stays used when the ledger has tidied up', async () => {
    await ledgerOf().admit(callOf({ limits: [perHour(1)] }));
    await ledgerOf().flush();
    await runDurableObjectAlarm(ledgerOf());
    expect((await ledgerOf().admit(callOf({ limits: [perHour(1)] }))).effect).toBe('denied');
  });

  it('leaves by itself once D1 has it, though nobody calls any more', async () => {
    const call = callOf();
    await ledgerOf().admit(call);
    await ledgerOf().record({ attempt: 0, outcomes: [outcomeOf(call.requestId)], refused: [], notes: [] });
    await ledgerOf().flush();
    await runDurableObjectAlarm(ledgerOf());
    const next = await runInDurableObject(ledgerOf(), (_, { storage }) => storage.getAlarm());
    expect(next).toBeGreaterThan(0);
    expect(next).toBeLessThan(Date.now() + 120_000);
  });
});

describe('a directory that cannot be reached', () => {
  it('keeps the first row of a ledger from being written, and the next call tries again', async () => {
    let reached = false;
    const register = async (): Promise<void> => {
      if (!reached) throw new Error('the directory is away');
    };
    const DIRECTORY = { idFromName: () => null, get: () => ({ register, markActive: async () => undefined }) } as never;
    const heads = await runInDurableObject(ledgerOf(), async (_, state) => {
      const ledger = new Ledger(state, { ...env, DIRECTORY });
      const first = await why(ledger, callOf());
      const before = (await ledger.head()).seq;
      reached = true;
      return [first, before, await why(ledger, callOf()), (await ledger.head()).seq];
    });
    expect(heads).toEqual(['Error: the directory is away', 0, 'admitted', 1]);
  });
});

it('a ledger that has rested says that rows wait in it again', async () => {
  await ledgerOf().admit(callOf());
  await runInDurableObject(env.DIRECTORY.get(env.DIRECTORY.idFromName(DIRECTORY_NAME)), (_, { storage }) => {
    storage.sql.exec('UPDATE ledgers SET active_at = 0');
  });
  await evictDurableObject(ledgerOf());
  const active = async (): Promise<number> => {
    const found = await listLedgers(env, 1);
    return found.ok ? found.value.length : -1;
  };
  expect(await active()).toBe(0);
  await ledgerOf().admit(callOf());
  for (let round = 0; round < 100 && (await active()) === 0; round++) await scheduler.wait(50);
  expect(await active()).toBe(1);
});
