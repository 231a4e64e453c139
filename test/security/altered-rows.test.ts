import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditListResponse, AuditRowJson, AuditVerifyResponse, MintResponse } from '../../src/protocol.ts';
import { keywarden } from '../cli/command-line.ts';
import { json, startUpstream, type Upstream } from '../support/upstream.ts';
import { type BareWorker, startBareWorker } from './bare-worker.ts';

/** Somebody who can write to the database writes what no edge does. */
let upstream: Upstream;
let worker: BareWorker;
beforeAll(async () => {
  upstream = await startUpstream(json({ ok: true }));
  const policy = `service: bank
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities:
  read: { allow: "GET /v1/balance" }
`;
  worker = await startBareWorker({ 'bank.yaml': policy }, (env) => ({ ...env, BANK_KEY: 'sk_live_altered0123456789' }));
  const minted = await ask<MintResponse>('/v1/tokens', { agent_id: 'a', capabilities: ['bank:read'] });
  const headers = { authorization: `Bearer ${minted.token}` };
  for (let i = 0; i < 3; i++) await fetch(`${worker.url}/proxy/bank/v1/balance`, { headers });
});
afterAll(async () => {
  await worker?.stop();
  await upstream?.stop();
});

async function ask<T>(path: string, body?: unknown): Promise<T> {
  const response = await fetch(worker.url + path, {
    headers: { authorization: `Bearer ${worker.operatorKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  expect(response.status, path).toBe(200);
  return (await response.json()) as T;
}

/** Every row, page by page. */
async function rows(limit: number): Promise<AuditRowJson[]> {
  const all: AuditRowJson[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: AuditListResponse = await ask(`/v1/audit?limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`);
    all.push(...page.rows);
    cursor = page.next_cursor;
  }
  return all;
}

describe('a row that was altered in the database', () => {
  const values: [string, string | number, unknown][] = [
    ['detail', '{"half', {}],
    ['detail', 'null', {}],
    ['detail', '[1]', {}],
    ['detail', '{"a":{"b":1}}', {}],
    ['detail', '{"a":1e999}', {}],
    ['at', 'yesterday', '1970-01-01T00:00:00.000Z'],
    ['at', 9e15, '1970-01-01T00:00:00.000Z'],
    ['seq', 'first', 0],
    ['decision', 'maybe', null],
    ['status', 'fine', null],
  ];

  it.each(values)(
    'is listed with all others, and says what of it cannot be read: %s = %j',
    async (column, value, instead) => {
      const before = await rows(1000);
      const target = before.find((row) => row.event === 'call.admitted') as AuditRowJson;
      const db = await worker.db();
      const written = await db
        .prepare(`SELECT rowid, "${column}" AS value FROM audit WHERE ledger = ? AND seq = ?`)
        .bind(target.ledger, target.seq)
        .first<{ rowid: number; value: string | number | null }>();
      const update = db.prepare(`UPDATE audit SET "${column}" = ? WHERE rowid = ?`);
      const put = (to: unknown) => update.bind(to, written?.rowid).run();
      await put(value);
      try {
        for (const limit of [1000, 1]) {
          const after = await rows(limit);
          expect(after).toHaveLength(before.length);
          const altered = after.filter((row) => row.unreadable !== undefined);
          expect(altered).toEqual([{ ...target, [column]: instead, unreadable: [column] }]);
        }
        const { ok, problems } = await ask<AuditVerifyResponse>('/v1/audit/verify');
        expect(ok).toBe(false);
        expect(problems).toContainEqual(expect.objectContaining({ ledger: target.ledger, seq: target.seq }));
        const env = { KEYWARDEN_URL: worker.url, KEYWARDEN_OPERATOR_KEY: worker.operatorKey };
        const listed = await keywarden(['audit', 'list'], { env });
        expect(listed).toMatchObject({ code: 0, stderr: '' });
        expect(listed.stdout).toContain(`(altered, unreadable: ${column}) GET bank/v1/balance`);
      } finally {
        await put(written?.value ?? null);
      }
      expect(await rows(1000)).toEqual(before);
    },
  );
});
