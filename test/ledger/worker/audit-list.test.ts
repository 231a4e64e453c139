import { evictDurableObject, reset, runInDurableObject } from 'cloudflare:test';
import { Hono } from 'hono';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { exportLines } from '../../../src/audit/store.ts';
import type { Edge } from '../../../src/edge.ts';
import { sha256Hex } from '../../../src/lib/digest.ts';
import type { AuditListResponse } from '../../../src/protocol.ts';
import { audit } from '../../../src/routes/audit.ts';
import type { Api } from '../../../src/routes/context.ts';
import { callOf, env, ledgerName, ledgerOf, migrate } from '../../support/ledger-world.ts';

const KEY = 'kwop_of-the-audit-list_0123456789';
const edge = { operators: new Map([[sha256Hex(KEY), { id: 'ada', roles: new Set(['audit']) }]]), access: null };
const app = new Hono<Api>();
app.use(async (c, next) => {
  c.set('edge', edge as unknown as Edge);
  c.set('requestId', crypto.randomUUID());
  await next();
});
app.route('/v1/audit', audit);
const list = async (query: object = {}, bindings: object = env): Promise<AuditListResponse> => {
  const headers = { authorization: `Bearer ${KEY}` };
  const response = await app.request(`/v1/audit?${new URLSearchParams({ ...query })}`, { headers }, bindings);
  expect(response.status).toBe(200);
  return (await response.json()) as AuditListResponse;
};
const seqs = async (query: object, bindings: object = env): Promise<number[]> =>
  (await list(query, bindings)).rows.map(({ seq }) => seq);
const iso = (ms: number): string => new Date(ms).toISOString();

beforeEach(migrate);
afterEach(reset);

it('rows of a time: both ends are within it; of a request: its own', async () => {
  const calls = [callOf(), callOf(), callOf()];
  for (const call of calls) await ledgerOf().admit(call);
  await ledgerOf().flush();
  const at = 1_800_000_000_000;
  await env.DB.exec(`UPDATE audit SET at = ${at} + seq * 1000`);
  expect(await seqs({ since: iso(at + 2000) })).toEqual([3, 2]);
  expect(await seqs({ until: iso(at + 2000) })).toEqual([2, 1]);
  expect(await seqs({ since: iso(at + 2000), until: iso(at + 2000) })).toEqual([2]);
  expect(await seqs({ request_id: calls[1]?.requestId ?? '' })).toEqual([2]);
});

it('a search for a text reads a week and says so, or as far back as it is told', async () => {
  for (let i = 0; i < 2; i += 1) await ledgerOf().admit(callOf());
  await ledgerOf().flush();
  const days = (n: number): number => Date.now() - n * 86_400_000;
  await env.DB.exec(`UPDATE audit SET at = ${days(8)} WHERE seq = 1`);
  const week = await list({ text: 'balance' });
  expect(week.rows.map(({ seq }) => seq)).toEqual([2]);
  expect(Math.abs(Date.parse(week.text_since ?? '') - days(7))).toBeLessThan(3_600_000);
  const all = await list({ text: 'balance', since: iso(days(9)) });
  expect([all.rows.length, all.text_since]).toEqual([2, undefined]);
  expect((await list()).rows).toHaveLength(2);
});

it('rows that D1 does not take are missing from the list, which says how many they are', async () => {
  await ledgerOf().admit(callOf());
  expect(await list()).not.toHaveProperty('waiting_rows');
  await env.DB.exec("CREATE TRIGGER shut BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'shut'); END");
  for (let i = 0; i < 2; i += 1) await ledgerOf().admit(callOf());
  await ledgerOf('other').admit(callOf({ agent: 'other' }));
  expect(await list()).toMatchObject({ rows: [{ seq: 1 }], waiting_rows: 3 });
  expect(await list({ agent: 'agent-1' })).toMatchObject({ rows: [{ seq: 1 }], waiting_rows: 2 });
  await env.DB.exec('DROP TRIGGER shut');
  expect((await list()).rows).toHaveLength(4);
  expect(await list()).not.toHaveProperty('waiting_rows');
});

it('unless it is told how many, a page has fifty rows', async () => {
  await Promise.all(Array.from({ length: 51 }, () => ledgerOf().admit(callOf())));
  const page = await list();
  expect([page.rows.length, page.next_cursor]).toEqual([50, expect.any(String)]);
  expect((await list({ cursor: page.next_cursor ?? '' })).rows).toHaveLength(1);
});

it('the list wakes no ledger that has been silent for long, and lists its rows all the same', async () => {
  await ledgerOf('busy').admit(callOf({ agent: 'busy' }));
  await ledgerOf('silent').admit(callOf({ agent: 'silent' }));
  await ledgerOf('silent').flush();
  const directory = env.DIRECTORY.get(env.DIRECTORY.idFromName('directory'));
  await runInDurableObject(directory, (_, { storage }) => {
    storage.sql.exec('UPDATE ledgers SET active_at = ? WHERE agent = ?', Date.now() - 3_600_000, 'silent');
    // While D1 takes no rows, the ledger in which they wait may say so no oftener than every minute.
    storage.sql.exec('UPDATE ledgers SET active_at = ? WHERE agent = ?', Date.now() - 100_000, 'busy');
  });
  const woken: (string | undefined)[] = [];
  const get = (id: DurableObjectId) => {
    woken.push(id.name);
    return env.LEDGER.get(id);
  };
  const watched = { ...env, LEDGER: { idFromName: env.LEDGER.idFromName.bind(env.LEDGER), get } };
  expect((await list({}, watched)).rows.map(({ agent }) => agent).sort()).toEqual(['busy', 'silent']);
  expect(woken).toEqual([ledgerName('busy')]);
});

it('and one that a call has woken is asked again at once', async () => {
  await ledgerOf().admit(callOf());
  await ledgerOf().flush();
  const directory = env.DIRECTORY.get(env.DIRECTORY.idFromName('directory'));
  await runInDurableObject(directory, (_, { storage }) => void storage.sql.exec('UPDATE ledgers SET active_at = 0'));
  await evictDurableObject(ledgerOf());
  expect((await list()).rows).toHaveLength(1);
  await ledgerOf().admit(callOf());
  expect((await list()).rows).toHaveLength(2);
});

it('a page is found by its place, however far on: neither the list nor a check of the chains reads again what went before', async () => {
  for (let i = 0; i < 3; i += 1) await ledgerOf().admit(callOf());
  await ledgerOf().flush();
  const plans: Promise<string>[] = [];
  const prepare = (text: string) => ({
    bind: (...values: unknown[]) => {
      plans.push(planOf(text, values));
      return env.DB.prepare(text).bind(...values);
    },
  });
  const { next_cursor: cursor } = await list({ limit: 2 });
  const watched = { ...env, DB: { prepare } };
  expect(await seqs({ cursor, limit: 2 }, watched)).toEqual([1]);
  const lines: string[] = [];
  for await (const line of exportLines(watched.DB as never, [], async () => '')) lines.push(line);
  expect(lines).toHaveLength(4);
  expect(await Promise.all(plans)).toEqual([
    expect.stringMatching(/^SEARCH audit USING INDEX audit_by_time \(\(at,ledger,seq\)<\(/),
    expect.stringMatching(/^SEARCH audit USING INDEX \S+ \(\(ledger,seq\)>\(/),
  ]);
});

async function planOf(text: string, values: unknown[]): Promise<string> {
  const { results } = await env.DB.prepare(`EXPLAIN QUERY PLAN ${text}`)
    .bind(...values)
    .all<{ detail: string }>();
  return results.map(({ detail }) => detail).join('; ');
}
