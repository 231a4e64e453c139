import { reset } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CANONICAL_COLUMNS, canonicalRow, linkHash } from '../../../src/audit/chain.ts';
import type { AuditRow } from '../../../src/audit/event.ts';
import { exportLines, listRows, verifyStored } from '../../../src/audit/store.ts';
import { verifyExport } from '../../../src/audit/verify.ts';
import { flushAll } from '../../../src/ledger/client.ts';
import type { ChainHead } from '../../../src/ledger/contract.ts';
import { callOf, env, ledgerName, ledgerOf, migrate, noteOf, outcomeOf } from '../../support/ledger-world.ts';

beforeEach(async () => {
  await migrate();
  for (const agent of ['agent-1', 'agent-2']) {
    const calls = [callOf({ agent }), callOf({ agent }), callOf({ agent, denial: { kind: 'operation_unknown' } })];
    for (const call of calls) await ledgerOf(agent).admit(call);
    const outcomes = calls.slice(0, 2).map((call) => outcomeOf(call.requestId));
    await ledgerOf(agent).record({ attempt: 0, outcomes, refused: [], notes: [] });
  }
  await heads();
});
afterEach(reset);

async function heads(): Promise<ChainHead[]> {
  const answers = await flushAll(env);
  if (!answers.ok) throw new Error(answers.error.fault.detail);
  return answers.value.map((answer) => answer.head);
}
async function problems(): Promise<string[]> {
  const result = await verifyStored(env.DB, await heads(), heads);
  expect(result.ok).toBe(result.problems.length === 0);
  return result.problems.map(
    (one) =>
      `${one.ledger === ledgerName('agent-1') ? 'agent-1' : 'other'} ${one.seq} ${/altered|replaced|missing|twice|inserted|does not exist/.exec(one.problem)?.[0]}`,
  );
}
const run = (sql: string, ...values: unknown[]) =>
  env.DB.prepare(sql)
    .bind(...values)
    .run();
const mine = ledgerName('agent-1');
const column = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
async function row(seq: number): Promise<AuditRow> {
  const page = await listRows(env.DB, { agent: 'agent-1', limit: 100 });
  if (!page.ok) throw new Error(page.error);
  return page.value.rows.find((one) => one.seq === seq) as AuditRow;
}
async function put(one: AuditRow): Promise<void> {
  const names = [...CANONICAL_COLUMNS, 'prevHash', 'hash'] as const;
  await run(
    `INSERT OR REPLACE INTO audit (${names.map(column).join(',')}) VALUES (${names.map(() => '?').join(',')})`,
    ...names.map((name) => one[name]),
  );
}

it('what nobody touched is in order', async () => {
  expect(await verifyStored(env.DB, await heads(), heads)).toEqual({ ok: true, rows: 10, ledgers: 2, problems: [] });
});

describe('whoever can write to D1 is noticed', () => {
  it.each([...CANONICAL_COLUMNS.filter((name) => name !== 'ledger' && name !== 'seq'), 'prevHash', 'hash'])(
    'altering %s',
    async (name) => {
      const value = ['at', 'status', 'requestBytes', 'responseBytes', 'durationMs', 'redactions'].includes(name)
        ? 4242
        : 'forged';
      await run(`UPDATE audit SET ${column(name)} = ? WHERE ledger = ? AND seq = 3`, value, mine);
      expect(await problems()).toEqual(['agent-1 3 altered']);
    },
  );

  it('altering a row and its hash', async () => {
    const forged = { ...(await row(3)), agent: 'somebody' };
    await put({ ...forged, hash: linkHash(forged.prevHash, canonicalRow(forged)) });
    expect(await problems()).toEqual(['agent-1 3 replaced']);
  });

  it('dropping a middle row', async () => {
    await run('DELETE FROM audit WHERE ledger = ? AND seq = 2', mine);
    expect(await problems()).toEqual(['agent-1 2 missing']);
  });

  it('dropping the tail', async () => {
    await run('DELETE FROM audit WHERE ledger = ? AND seq >= 4', mine);
    expect(await problems()).toEqual(['agent-1 4 missing']);
  });

  it('dropping a whole ledger', async () => {
    await run('DELETE FROM audit WHERE ledger = ?', mine);
    expect(await problems()).toEqual(['agent-1 1 missing']);
  });

  it('dropping everything', async () => {
    await run('DELETE FROM audit');
    expect((await problems()).sort()).toEqual(['agent-1 1 missing', 'other 1 missing']);
  });

  it('swapping two rows', async () => {
    await run('UPDATE audit SET seq = 999 WHERE ledger = ? AND seq = 2', mine);
    await run('UPDATE audit SET seq = 2 WHERE ledger = ? AND seq = 3', mine);
    await run('UPDATE audit SET seq = 3 WHERE ledger = ? AND seq = 999', mine);
    expect(await problems()).toEqual(['agent-1 2 altered', 'agent-1 3 altered']);
  });

  it('adding a well-chained row at the end', async () => {
    const last = await row(5);
    const forged = { ...last, seq: 6, requestId: 'forged', prevHash: last.hash };
    await put({ ...forged, hash: linkHash(forged.prevHash, canonicalRow(forged)) });
    expect(await problems()).toEqual(['agent-1 6 inserted']);
  });

  it('adding a ledger that never was', async () => {
    const forged = { ...(await row(1)), ledger: 'e'.repeat(64) };
    await put({ ...forged, hash: linkHash(forged.prevHash, canonicalRow(forged)) });
    expect(await problems()).toEqual(['other 1 does not exist']);
  });

  it('moving a row into another ledger', async () => {
    await run('UPDATE audit SET ledger = ? WHERE ledger = ? AND seq = 5', 'd'.repeat(64), mine);
    expect(await problems()).toContain('agent-1 5 missing');
  });
});

it('rows that come while it is verified are no problem', async () => {
  const before = await heads();
  await ledgerOf('agent-1').admit(callOf());
  await heads();
  expect(await verifyStored(env.DB, before, heads)).toMatchObject({ ok: true, problems: [] });
});

it('and are no cover for one that is planted above them, however many they are', async () => {
  const before = await heads();
  const notes = Array.from({ length: 150 }, (_, i) => noteOf(`n${i}`, 'agent-1'));
  await ledgerOf('agent-1').record({ attempt: 0, outcomes: [], refused: [], notes });
  const { seq } = (await heads()).find(({ ledger }) => ledger === mine) as ChainHead;
  const last = await row(seq);
  const planted = { ...last, seq: seq + 1, prevHash: last.hash };
  await put({ ...planted, hash: linkHash(last.hash, canonicalRow(planted)) });
  expect((await verifyStored(env.DB, before, heads)).problems).toMatchObject([{ ledger: mine, seq: seq + 1 }]);
});

it('of more rows than are read at once none is passed over, by verify or by the export', async () => {
  for (let batch = 0; batch < 4; batch += 1) {
    const notes = Array.from({ length: 280 }, (_, i) => noteOf(`n${batch}-${i}`, 'agent-1'));
    await ledgerOf('agent-1').record({ attempt: 0, outcomes: [], refused: [], notes });
    await heads();
  }
  const rows = 10 + 4 * 280;
  expect(await verifyStored(env.DB, await heads(), heads)).toMatchObject({ ok: true, rows, problems: [] });
  let lines = 0;
  for await (const _ of exportLines(env.DB, await heads(), async () => 'x')) lines += 1;
  expect(lines).toBe(rows + 1);
  await run("UPDATE audit SET operator = 'x' WHERE ledger = ? AND seq = 1100", mine);
  expect(await problems()).toEqual(['agent-1 1100 altered']);
});

describe('the export', () => {
  const seal = async (checkpoint: object): Promise<string> =>
    `x.${btoa(JSON.stringify(checkpoint)).replaceAll('=', '')}.x`;

  it('verifies offline, and holds what was there when it began', async () => {
    const before = await heads();
    await ledgerOf('agent-1').admit(callOf());
    await heads();
    expect(await verifyExport(exportLines(env.DB, before, seal), null)).toMatchObject({
      ok: true,
      rows: 10,
      ledgers: 2,
      problems: [],
    });
  });

  it('of a tampered store tells the same', async () => {
    await run("UPDATE audit SET decision = 'deny' WHERE ledger = ? AND seq = 1", mine);
    const result = await verifyExport(exportLines(env.DB, await heads(), seal), null);
    expect(result.problems).toMatchObject([{ ledger: mine, seq: 1 }]);
  });
});

describe('the list', () => {
  it('pages newest first, each row once, though rows come meanwhile', async () => {
    const seen: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await listRows(env.DB, { limit: 3, cursor });
      if (!page.ok) throw new Error(page.error);
      seen.push(...page.value.rows.map((one) => `${one.ledger} ${one.seq}`));
      await ledgerOf('agent-1').admit(callOf());
      await ledgerOf('agent-1').flush();
      if (page.value.nextCursor === null) break;
      cursor = page.value.nextCursor;
    }
    expect(seen).toHaveLength(10);
    expect(new Set(seen).size).toBe(10);
  });

  it.each([
    [{ agent: 'agent-1' }, 5],
    [{ event: 'call.completed' }, 4],
    [{ decision: 'deny' as const }, 2],
    [{ reason: 'operation_unknown' }, 2],
    [{ session: 'session-1', service: 'stripe', capability: 'stripe:read_balance' }, 10],
    [{ agent: "' OR 1=1 --" }, 0],
    [{ until: 0 }, 0],
    [{ since: 9e15 }, 0],
  ])('filters by %j', async (filter, count) => {
    const page = await listRows(env.DB, { ...filter, limit: 100 });
    expect(page.ok && page.value.rows.length).toBe(count);
  });

  it.each([
    ['session', 'session-2'],
    ['service', 'bank'],
    ['capability', 'bank:pay'],
    ['requestId', 'request-of-the-filter'],
  ])('filters by %s alone', async (name, value) => {
    const call = callOf({ requestId: 'request-of-the-filter' });
    const fields = { ...call.call, session: 'session-2', service: 'bank', capability: 'bank:pay' };
    await ledgerOf('agent-1').admit({ ...call, call: fields });
    await ledgerOf('agent-1').flush();
    const page = await listRows(env.DB, { [name]: value, limit: 100 });
    expect(page.ok && page.value.rows.map((one) => one.requestId)).toEqual(['request-of-the-filter']);
  });

  it.each(['x', '', 'e30', btoa('[1,2,3]'), btoa('["x","y","z"]')])(
    'refuses a cursor it never gave (%s)',
    async (cursor) => {
      expect((await listRows(env.DB, { limit: 1, cursor })).ok).toBe(false);
    },
  );
});
