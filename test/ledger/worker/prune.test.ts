import { evictDurableObject, reset, runInDurableObject } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canonicalRow, GENESIS_HASH, linkHash } from '../../../src/audit/chain.ts';
import { exportLines, listRows, verifyStored } from '../../../src/audit/store.ts';
import { verifyExport } from '../../../src/audit/verify.ts';
import type { Env } from '../../../src/env.ts';
import { flushAll } from '../../../src/ledger/client.ts';
import type { ChainHead } from '../../../src/ledger/contract.ts';
import { Ledger } from '../../../src/ledger/ledger.ts';
import { prunePastRetention } from '../../../src/scheduled.ts';
import { breakD1, callOf, env, ledgerName, ledgerOf, mendD1, migrate } from '../../support/ledger-world.ts';

beforeEach(async () => {
  await migrate();
  for (let i = 0; i < 6; i++) await ledgerOf().admit(callOf());
  await ledgerOf().flush();
});
afterEach(reset);

const heads = async (): Promise<ChainHead[]> => {
  const answers = await flushAll(env);
  if (!answers.ok) throw new Error(answers.error.fault.detail);
  return answers.value.map((answer) => answer.head);
};
const verified = async () => verifyStored(env.DB, await heads(), heads);
const seqs = async (): Promise<number[]> => {
  const page = await listRows(env.DB, { agent: 'agent-1', limit: 100 });
  if (!page.ok) throw new Error(page.error);
  return page.value.rows.map((row) => row.seq).sort((a, b) => a - b);
};
const exported = async (): Promise<string[]> => {
  const lines: string[] = [];
  const sign = async (checkpoint: object) => `x.${btoa(JSON.stringify(checkpoint))}.x`;
  for await (const line of exportLines(env.DB, await heads(), sign)) lines.push(line);
  return lines;
};
const run = (sql: string) => env.DB.prepare(sql).run();
const later = (): number => Date.now() + 1000;

describe('the retention', () => {
  it('removes old rows, and what is left still verifies, also after eviction', async () => {
    expect(await ledgerOf().prune(later())).toEqual({ rows: 6, more: false, refused: null });
    await evictDurableObject(ledgerOf());
    await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    expect(await seqs()).toEqual([8]);
    expect(await verified()).toMatchObject({ ok: true, problems: [] });
  });

  it('says in the chain itself what was removed', async () => {
    await ledgerOf().prune(later());
    const page = await listRows(env.DB, { event: 'audit.pruned', limit: 10 });
    await ledgerOf().flush();
    const after = await listRows(env.DB, { event: 'audit.pruned', limit: 10 });
    expect(page.ok && after.ok).toBe(true);
    if (!after.ok) return;
    expect(JSON.parse(after.value.rows[0]?.detail ?? '')).toMatchObject({ through: 6, rows: 6 });
  });

  it('leaves rows that are not old enough', async () => {
    expect(await ledgerOf().prune(Date.now() - 60_000)).toEqual({ rows: 0, more: false, refused: null });
    expect(await seqs()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('removes what is older than said, nothing that is not, and says whether it came to the end', async () => {
    await scheduler.wait(20);
    for (let i = 0; i < 3; i++) await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    const first = await env.DB.prepare('SELECT at FROM audit WHERE seq = 7').first<{ at: number }>();
    expect(await ledgerOf().prune(first?.at ?? 0)).toEqual({ rows: 6, more: true, refused: null });
    expect(await seqs()).toEqual([7, 8, 9]);
    expect(await ledgerOf().prune(first?.at ?? 0)).toEqual({ rows: 0, more: false, refused: null });
    expect(await verified()).toMatchObject({ ok: true });
  });

  it('goes on from the last cut', async () => {
    await ledgerOf().prune(later());
    for (let i = 0; i < 3; i++) await ledgerOf().admit(callOf());
    expect(await ledgerOf().prune(later())).toMatchObject({ rows: 4, refused: null });
    expect(await verified()).toMatchObject({ ok: true });
  });

  it('an export of what is left verifies offline', async () => {
    await ledgerOf().prune(later());
    await ledgerOf().admit(callOf());
    const lines = await exported();
    expect(await verifyExport(lines, null)).toMatchObject({ ok: true, rows: 2, problems: [] });
    expect(await verifyExport(lines.slice(1), null)).toMatchObject({ ok: false });
  });
});

describe('an attacker who can write to D1 cannot have the evidence removed', () => {
  it.each([
    ['an altered row', "UPDATE audit SET agent = 'x' WHERE seq = 3"],
    ['a missing row', 'DELETE FROM audit WHERE seq = 3'],
    ['a missing end', 'DELETE FROM audit WHERE seq >= 5'],
    ['a row that claims to be old', 'UPDATE audit SET at = 0 WHERE seq = 6'],
  ])('%s: nothing is removed, and the ledger says why', async (_, sql) => {
    await run(sql);
    const before = await seqs();
    const answer = await ledgerOf().prune(later());
    expect(answer.rows).toBe(0);
    expect(answer.refused).toMatch(/row 3|row 6|missing/);
    expect(await seqs()).toEqual(before.length === 0 ? [] : await seqs());
    expect((await verified()).ok).toBe(false);
  });

  it.each([
    ['all', 8, 9],
    ['all that are old enough', 6, 7],
  ])('rows that were written anew and chained well (%s): nothing is removed', async (_, count, first) => {
    await scheduler.wait(20);
    for (let i = 0; i < 2; i++) await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    const page = await listRows(env.DB, { agent: 'agent-1', limit: 100 });
    if (!page.ok) throw new Error(page.error);
    const rows = page.value.rows.toReversed();
    let prevHash = GENESIS_HASH;
    for (const row of rows.slice(0, count)) {
      const hash = linkHash(prevHash, canonicalRow({ ...row, session: 'scapegoat' }));
      await run(
        `UPDATE audit SET session = 'scapegoat', prev_hash = '${prevHash}', hash = '${hash}' WHERE seq = ${row.seq}`,
      );
      prevHash = hash;
    }
    expect(await ledgerOf().prune(rows[first - 1]?.at ?? later())).toMatchObject({
      rows: 0,
      refused: expect.stringContaining('replaced'),
    });
    expect(await seqs()).toHaveLength(8);
  });

  it('a row that stands where the ledger puts its own is kept, with all that come after it', async () => {
    await run("UPDATE audit SET agent = 'x' WHERE seq = 4");
    await runInDurableObject(ledgerOf(), (_, state) => void state.storage.sql.exec('UPDATE pushed SET through = 3'));
    await evictDurableObject(ledgerOf());
    expect(await ledgerOf().prune(later())).toMatchObject({ rows: 3, refused: null });
    expect((await env.DB.prepare('SELECT seq FROM audit ORDER BY seq').all()).results).toEqual([
      { seq: 4 },
      { seq: 5 },
      { seq: 6 },
    ]);
  });

  it('rows that are removed beyond the cut are missed', async () => {
    await ledgerOf().prune(later());
    for (let i = 0; i < 3; i++) await ledgerOf().admit(callOf());
    await ledgerOf().flush();
    await run('DELETE FROM audit WHERE seq = 8');
    expect(await verified()).toMatchObject({ ok: false });
  });

  it('a first row that is not linked to the cut is noticed', async () => {
    await ledgerOf().prune(later());
    await ledgerOf().flush();
    await run(`UPDATE audit SET prev_hash = '${'a'.repeat(64)}' WHERE seq = 7`);
    expect(await verified()).toMatchObject({ ok: false });
  });
});

describe('an interrupted removal', () => {
  const stored = async (): Promise<Record<string, unknown>[]> =>
    (await env.DB.prepare('SELECT * FROM audit').all<Record<string, unknown>>()).results;
  const putBack = async (rows: readonly Record<string, unknown>[]): Promise<void> => {
    for (const row of rows) {
      const names = Object.keys(row);
      await env.DB.prepare(`INSERT INTO audit (${names}) VALUES (${names.map(() => '?')})`)
        .bind(...Object.values(row))
        .run();
    }
  };

  it('is no tampering, and is done again', async () => {
    const rows = await stored();
    await ledgerOf().prune(later());
    await putBack(rows);
    expect(await verified()).toMatchObject({ ok: true });
    // What is about to go is no part of an export.
    expect(await verifyExport(await exported(), null)).toMatchObject({ ok: true, rows: 1, problems: [] });
    await ledgerOf().prune(Date.now() - 60_000);
    expect((await seqs()).filter((seq) => seq <= 6)).toEqual([]);
  });

  it('is no tampering, either, when the rows are gone and nobody heard of it', async () => {
    const prepare = (sql: string) => {
      const statement = env.DB.prepare(sql);
      if (!/^delete/i.test(sql)) return statement;
      const run = async (): Promise<never> => {
        await statement.bind(ledgerName(), 6).run();
        throw new Error('the answer was lost');
      };
      return { bind: () => ({ run }) };
    };
    const said = await runInDurableObject(ledgerOf(), (_, state) =>
      new Ledger(state, { ...env, DB: { prepare } as never }).prune(later()).then(() => '', String),
    );
    expect(said).toContain('Failed query: delete');
    await evictDurableObject(ledgerOf());
    expect(await verified()).toMatchObject({ ok: true });
    expect((await seqs()).filter((seq) => seq <= 6)).toEqual([]);
  });

  it('is no cover for rows that are planted there', async () => {
    const rows = await stored();
    await ledgerOf().prune(later());
    await putBack(rows.map((row) => (row['seq'] === 2 ? { ...row, agent: 'scapegoat' } : row)));
    expect(await verified()).toMatchObject({
      ok: false,
      problems: [{ seq: 1, problem: expect.stringMatching(/planted/) }],
    });
  });

  it('with D1 down removes nothing, and says so', async () => {
    await breakD1();
    expect((await ledgerOf().prune(later())).refused).toMatch(/no such table/);
    await mendD1();
  });
});

describe('the scheduled job', () => {
  const withDays = (days?: string): Env =>
    ({ ...env, ...(days === undefined ? {} : { KEYWARDEN_AUDIT_RETENTION_DAYS: days }) }) as unknown as Env;

  it('keeps everything unless told otherwise', async () => {
    expect(await prunePastRetention(withDays(), later())).toMatchObject({ ledgers: 0, rows: 0 });
    expect(await seqs()).toHaveLength(6);
  });

  it('goes through all ledgers', async () => {
    await ledgerOf('agent-2').admit(callOf({ agent: 'agent-2' }));
    const report = await prunePastRetention(withDays('1'), Date.now() + 2 * 86_400_000);
    expect(report).toEqual({ ledgers: 2, rows: 7, refused: 0, unreachable: 0, finished: true });
    expect(ledgerName()).toMatch(/^[0-9a-f]{64}$/);
  });

  it('keeps what is not as old as it was told', async () => {
    const report = await prunePastRetention(withDays('3'), Date.now() + 2 * 86_400_000);
    expect(report).toMatchObject({ ledgers: 1, rows: 0 });
    expect(await seqs()).toHaveLength(6);
  });

  it('passes by a ledger whose rows were altered, or that does not answer, tells of it, and goes on', async () => {
    await run("UPDATE audit SET agent = 'x' WHERE seq = 3");
    for (const agent of ['agent-2', 'agent-3']) await ledgerOf(agent).admit(callOf({ agent }));
    const away = env.LEDGER.idFromName(ledgerName('agent-3'));
    const get = (id: DurableObjectId) => {
      if (id.equals(away)) throw new Error('away');
      return env.LEDGER.get(id);
    };
    const partly = { ...withDays('1'), LEDGER: { idFromName: env.LEDGER.idFromName.bind(env.LEDGER), get } };
    const report = await prunePastRetention(partly as unknown as Env, Date.now() + 2 * 86_400_000);
    expect(report).toEqual({ ledgers: 3, rows: 1, refused: 1, unreachable: 1, finished: true });
  });

  it('asks a ledger again while there is more, and of one run no more than the platform bears', async () => {
    const answers = (more: (asked: number) => boolean) => {
      let asked = 0;
      const stub = { prune: async () => ({ rows: 1, more: more(++asked), refused: null }) };
      const LEDGER = { idFromName: env.LEDGER.idFromName.bind(env.LEDGER), get: () => stub };
      return prunePastRetention({ ...withDays('1'), LEDGER } as unknown as Env, Date.now());
    };
    expect(await answers((asked) => asked < 500)).toMatchObject({ rows: 500, finished: true });
    expect(await answers(() => true)).toMatchObject({ rows: 500, finished: false });
  });

  it('of more ledgers than one run bears asks first those with the oldest rows, whatever their names', async () => {
    const names = Array.from({ length: 600 }, (_, i) => String(i).padStart(64, '0'));
    const at = (days: number): number => Date.now() - days * 86_400_000;
    for (const [name, days] of [[names[598], 5] as const, [names[599], 9] as const])
      await run(
        `INSERT INTO audit (ledger, seq, at, event, request_id, detail, prev_hash, hash) VALUES ('${name}', 1, ${at(days)}, '', '', '', '', '')`,
      );
    const asked: (string | undefined)[] = [];
    const stub = { prune: async () => ({ rows: 0, more: false, refused: null }) };
    const get = (id: DurableObjectId) => {
      asked.push(id.name);
      return stub;
    };
    const LEDGER = { idFromName: env.LEDGER.idFromName.bind(env.LEDGER), get };
    const DIRECTORY = {
      idFromName: () => null,
      get: () => ({ list: async () => names.map((ledger) => ({ ledger })) }),
    };
    const report = await prunePastRetention({ ...withDays('3'), LEDGER, DIRECTORY } as unknown as Env, Date.now());
    expect(asked.slice(0, 3)).toEqual([names[599], names[598], names[0]]);
    expect(report).toMatchObject({ ledgers: 500, finished: true });
  });

  it('forgets tokens a day after they expired, and what has ended of sessions and alerts with the rows that tell of it', async () => {
    const at = (days: number): number => Date.now() - days * 86_400_000;
    const ages = [1, 5, 20];
    for (const days of ages) {
      await run(
        `INSERT INTO tokens (token_id, agent, capabilities, issued_at, expires_at, minted_by)
         VALUES ('t${days}', 'a', '[]', ${at(days)}, ${at(days - 0.5)}, 'op')`,
      );
      for (const ended of [at(days - 0.5), null])
        await run(
          `INSERT INTO sessions (session, agent, backend, host, program, capabilities, key, started_by, started_at, deadline_at,
             last_seen_at, sequence, ended_at, start_noted, end_noted)
           VALUES ('s${days} ${ended === null ? 'open' : 'ended'}', 'a', 'docker', 'h', 'p', '[]', '{}', 'op', ${at(days)}, ${at(days - 1)}, 0, 1, ${ended}, 1, 1)`,
        );
      await run(`INSERT INTO screen_alerts VALUES ('s', 'r${days}', 'a', 'r', 1, ${at(days)})`);
      for (const cleared of [at(days), null])
        await run(
          `INSERT INTO signal_alerts (id, signal, agent, value, threshold, raised_at, last_at, cleared_at, attempts)
           VALUES ('al${days} ${cleared === null ? 'open' : 'over'}', 'x', 'a${days}', 1, 1, ${at(days)}, 0, ${cleared}, 0)`,
        );
    }
    const left = async (): Promise<string> => {
      const { results } = await env.DB.prepare(
        `SELECT token_id AS id FROM tokens UNION ALL SELECT session FROM sessions
         UNION ALL SELECT report FROM screen_alerts UNION ALL SELECT id FROM signal_alerts ORDER BY 1`,
      ).all<{ id: string }>();
      return results.map(({ id }) => id).join(', ');
    };
    const all = (days: number) => [`al${days} open`, `al${days} over`, `r${days}`, `s${days} ended`, `s${days} open`];
    const sorted = (ids: string[]): string => ids.sort().join(', ');
    await prunePastRetention(withDays(), Date.now());
    expect(await left()).toBe(sorted(['t1', ...ages.flatMap(all)]));
    await prunePastRetention(withDays('10'), Date.now());
    expect(await left()).toBe(sorted(['t1', ...all(1), ...all(5), 'al20 open']));
  });

  it('fails rather than say that it is done when it does not learn which ledgers there are', async () => {
    const DIRECTORY = { idFromName: () => null, get: () => ({ list: () => Promise.reject(new Error('away')) }) };
    const blind = { ...withDays('1'), DIRECTORY } as unknown as Env;
    await expect(prunePastRetention(blind, later())).rejects.toThrow('the directory of ledgers cannot be read');
  });

  it.each(['0', '-1', '1.5', '1e2', 'forever', '99999'])('does nothing when told %s days', async (days) => {
    await expect(prunePastRetention(withDays(days), later())).rejects.toThrow('nothing is pruned');
  });
});
