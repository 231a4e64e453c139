import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuditListResponse } from '../../src/protocol.ts';
import { ALL, startWorld, type World } from './approvals/world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld({ vars: { KEYWARDEN_LEDGER_MAX_WAITING_ROWS: '5' } });
});
afterAll(() => world?.stop());

const post = (path: string, body: unknown, who: 'alice' | 'minty' = 'alice'): Promise<Response> =>
  world.as(who, path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

/** By hand, as whoever holds the database could. */
function inD1(...statements: string[]): void {
  const d1 = join(world.edge.state, 'storage/d1');
  for (const name of readdirSync(d1, { recursive: true }).map(String)) {
    if (!name.endsWith('.sqlite') || name.includes('metadata')) continue;
    const database = new DatabaseSync(join(d1, name));
    for (const statement of statements) database.exec(statement);
    database.close();
  }
}

describe('stops', () => {
  it('one that does not stand is not lifted, and no row says that it was', async () => {
    expect((await post('/v1/stops/lift', { scope: 'everything' })).status).toBe(404);
    expect(await world.edge.audit({ event: 'stop.lifted' })).toEqual([]);
  });

  it('one that is placed again is recorded again', async () => {
    const stop = { scope: 'service', service: 'bank' };
    for (let i = 0; i < 2; i += 1) expect((await post('/v1/stops', stop)).status).toBe(200);
    const rows = await world.edge.audit({ event: 'stop.placed' });
    expect(rows.map(({ detail }) => (detail as { again?: boolean }).again ?? false).sort()).toEqual([false, true]);
    expect((await post('/v1/stops/lift', stop)).status).toBe(204);
  });
});

describe('a body of nobody', () => {
  it('is read no further than a refused upload is, by whoever it is', async () => {
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        if (sent > 512 * 1024 * 1024) controller.close();
        else controller.enqueue(new Uint8Array(65_536).fill(0x61));
      },
    });
    const headers = { origin: world.edge.url, 'x-keywarden-console': '1', 'content-type': 'application/json' };
    const said = await fetch(`${world.edge.url}/v1/console/session`, {
      method: 'POST',
      headers,
      body: endless,
      duplex: 'half',
    } as RequestInit).catch((error: Error) => error);
    expect(said instanceof Error || said.status === 400).toBe(true);
    // 64 MiB are thrown away at most, so that a client which reads nothing before it has sent all gets to its answer.
    expect(sent).toBeLessThan(96 * 1024 * 1024);
    expect((await fetch(`${world.edge.url}/healthz`)).status).toBe(200);
  });
});

describe('a row that somebody altered in D1', () => {
  it('hides no other row: the list shows it, and verify tells of it', async () => {
    const token = await world.edge.mint('altered', ALL);
    for (let i = 0; i < 2; i += 1) await world.send(token, '/v1/nothing');
    const rows = await world.edge.audit({ agent: 'altered' });
    const [first, second] = rows.sort((a, b) => a.seq - b.seq);
    inD1(
      `UPDATE audit SET detail = '{broken' WHERE hash = '${first?.hash}'`,
      `UPDATE audit SET at = 99999999999999999 WHERE hash = '${second?.hash}'`,
    );
    const listed = await world.edge.operate('/v1/audit?agent=altered');
    expect(listed.status).toBe(200);
    const { rows: seen } = AuditListResponse.parse(await listed.json());
    expect(seen.map(({ seq }) => seq).sort()).toEqual(rows.map(({ seq }) => seq));
    expect(seen.find(({ seq }) => seq === first?.seq)).toMatchObject({ detail: {}, unreadable: ['detail'] });
    expect(seen.find(({ seq }) => seq === second?.seq)).toMatchObject({ unreadable: ['at'] });
    expect((await world.edge.operate('/v1/approvals')).status).toBe(200);
    expect(await (await world.edge.operate('/v1/audit/verify')).json()).toMatchObject({
      ok: false,
      problems: [{ seq: first?.seq }, { seq: second?.seq }],
    });
  });
});

describe('a ledger that takes no more rows, since the audit table does not', () => {
  it('keeps operators from doing what would not be recorded', async () => {
    expect((await post('/v1/stops', { scope: 'everything' })).status).toBe(200);
    inD1('ALTER TABLE audit RENAME TO away');
    for (let i = 0; i < 8; i += 1) await fetch(`${world.edge.url}/v1/audit`);
    const lifted = await post('/v1/stops/lift', { scope: 'everything' });
    expect([lifted.status, ((await lifted.json()) as { code: string }).code]).toEqual([503, 'ledger_full']);
    expect(await (await world.as('alice', '/v1/stops')).json()).toMatchObject({ stops: [{ scope: 'everything' }] });
    const origin = { origin: world.edge.url, 'x-keywarden-console': '1', 'content-type': 'application/json' };
    const body = JSON.stringify({ key: world.keyOf('alice') });
    const signIn = await fetch(`${world.edge.url}/v1/console/session`, { method: 'POST', headers: origin, body });
    expect([signIn.status, signIn.headers.get('set-cookie')]).toEqual([503, null]);

    inD1('ALTER TABLE away RENAME TO audit');
    await world.edge.operate('/v1/audit');
    expect((await post('/v1/stops/lift', { scope: 'everything' })).status).toBe(204);
    expect((await post('/v1/tokens', { agent_id: 'later', capabilities: ALL }, 'minty')).status).toBe(200);
  });
});
