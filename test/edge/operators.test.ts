import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuditListResponse } from '../../src/protocol.ts';
import { rawRequest, sendRaw } from '../support/raw.ts';
import { ALL, startWorld, type World } from './approvals/world.ts';
import { makeRunner, newSession, startOf } from './sessions/world.ts';

let world: World;
/** As Cloudflare Access says who a person is. */
let assertionOf: (email: string) => Promise<string>;
const team = createServer();
beforeAll(async () => {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'team-1', alg: 'RS256', use: 'sig' };
  team.on('request', (_, res) =>
    res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] })),
  );
  await new Promise<void>((resolve) => team.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(team.address() as AddressInfo).port}`;
  assertionOf = (email) =>
    new SignJWT({ email, iss: issuer, aud: ['keywarden'] })
      .setProtectedHeader({ alg: 'RS256', kid: 'team-1' })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey);
  world = await startWorld({
    vars: {
      KEYWARDEN_LEDGER_MAX_WAITING_ROWS: '5',
      KEYWARDEN_ACCESS_ISSUER: issuer,
      KEYWARDEN_ACCESS_AUDIENCE: 'keywarden',
      KEYWARDEN_ACCESS_ROLES: JSON.stringify({ 'ada@example.com': ['audit'] }),
    },
  });
});
afterAll(async () => {
  await world?.stop();
  team.close();
});

const post = (path: string, body: unknown, who: 'alice' | 'minty' = 'alice'): Promise<Response> =>
  world.as(who, path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

const announcing = (id: string, agent: string): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(startOf(makeRunner(), id, { agent_id: agent })),
});

/** By hand, as whoever holds the database could. */
function inD1(...statements: string[]): void {
  const d1 = join(world.edge.state, 'storage/d1');
  for (const name of readdirSync(d1, { recursive: true }).map(String)) {
    if (!name.endsWith('.sqlite') || name.includes('metadata')) continue;
    const database = new DatabaseSync(join(d1, name), { timeout: 10_000 });
    for (const statement of statements) database.exec(statement);
    database.close();
  }
}

describe('an operator who comes through Cloudflare Access', () => {
  const ask = async (path: string, fields: Record<string, string>, email = 'ada@example.com') => {
    const assertion = await assertionOf(email);
    const said = await fetch(world.edge.url + path, { headers: { 'cf-access-jwt-assertion': assertion, ...fields } });
    return [said.status, said.ok ? null : ((await said.json()) as { code: string }).code];
  };

  it('may do what the roles of the address say, and no more; who has none is nobody', async () => {
    expect(await ask('/v1/sessions', {})).toEqual([200, null]);
    expect(await ask('/v1/sessions', { origin: world.edge.url, 'sec-fetch-site': 'same-origin' })).toEqual([200, null]);
    expect(await ask('/v1/sessions', {}, 'eve@example.com')).toEqual([401, 'operator_key_invalid']);
    const assertion = await assertionOf('ada@example.com');
    const headers = { 'cf-access-jwt-assertion': assertion };
    const minted = await fetch(`${world.edge.url}/v1/tokens`, { method: 'POST', headers, body: '{}' });
    expect([minted.status, ((await minted.json()) as { code: string }).code]).toEqual([403, 'role_missing']);
  });

  it('comes from no other page, and is not who a wrong key says', async () => {
    expect(await ask('/v1/sessions', { origin: 'https://evil.example' })).toEqual([403, 'origin_refused']);
    expect(await ask('/v1/sessions', { 'sec-fetch-site': 'cross-site' })).toEqual([403, 'origin_refused']);
    expect(await ask('/v1/sessions', { authorization: `Bearer ${'x'.repeat(40)}` })).toEqual([
      401,
      'operator_key_invalid',
    ]);
    const rows = await world.edge.audit({ event: 'operator.denied' });
    expect(rows.map((row) => row.reason)).toEqual(expect.arrayContaining(['origin_refused', 'operator_key_invalid']));
  });
});

describe('a session of the console', () => {
  it('is signed by the cookie, and what it signs comes from our own page', async () => {
    const own = { origin: world.edge.url, 'x-keywarden-console': '1', 'content-type': 'application/json' };
    const session = `${world.edge.url}/v1/console/session`;
    const body = JSON.stringify({ key: world.keyOf('alice') });
    const made = await fetch(session, { method: 'POST', headers: own, body });
    const cookie = made.headers.get('set-cookie')?.split(';')[0] ?? '';
    const lift = async (headers: Record<string, string>) => {
      const init = { method: 'POST', headers: { cookie, ...headers }, body: '{"scope":"everything"}' };
      const said = await fetch(`${world.edge.url}/v1/stops/lift`, init);
      return [said.status, ((await said.json()) as { code: string }).code];
    };
    expect(await lift(own)).toEqual([404, 'stop_unknown']);
    for (const foreign of [
      {},
      { origin: world.edge.url },
      { 'x-keywarden-console': '1' },
      { ...own, origin: 'https://evil.example' },
      { ...own, 'sec-fetch-site': 'same-site' },
    ])
      expect(await lift(foreign as Record<string, string>), JSON.stringify(foreign)).toEqual([403, 'origin_refused']);
    const end = (headers: Record<string, string>) =>
      fetch(session, { method: 'DELETE', headers: { ...headers, cookie } });
    expect((await end({ origin: 'https://evil.example' })).status).toBe(403);
    expect((await fetch(`${world.edge.url}/v1/stops`, { headers: { cookie } })).status).toBe(200);
    // There is room for five rows only, and the refusals took theirs.
    await world.edge.audit();
    expect((await end(own)).status).toBe(204);
    expect((await fetch(`${world.edge.url}/v1/stops`, { headers: { cookie } })).status).toBe(401);
    expect(await world.edge.audit({ event: 'console.signed_out' })).toMatchObject([{ operator: 'alice' }]);
  });

  it('is begun from our own page alone, and under TLS or on the same machine', async () => {
    const body = JSON.stringify({ key: world.keyOf('alice') });
    const origin = world.edge.url;
    for (const foreign of [{ origin }, { 'x-keywarden-console': '1' }, { origin: 'https://evil.example' }]) {
      const headers = { 'content-type': 'application/json', ...(foreign as Record<string, string>) };
      const said = await fetch(`${origin}/v1/console/session`, { method: 'POST', headers, body });
      expect([said.status, said.headers.get('set-cookie')], JSON.stringify(foreign)).toEqual([403, null]);
    }
    // There is room for five rows only.
    await world.edge.audit();
    const own = { origin, 'x-keywarden-console': '1' };
    for (const [wrong, code] of [
      [{ key: 'x'.repeat(40) }, 'operator_key_invalid'],
      [{ link: 'x'.repeat(43) }, 'sign_in_link_invalid'],
    ] as const) {
      const init = { method: 'POST', headers: own, body: JSON.stringify(wrong) };
      const said = await fetch(`${origin}/v1/console/session`, init);
      expect(said.status, code).toBe(401);
      const [row] = await world.edge.audit({ request_id: said.headers.get('keywarden-request-id') ?? '' });
      expect(row, code).toMatchObject({ event: 'operator.denied', reason: code, decision: 'deny' });
    }
    const fields = ['Host: edge', 'Origin: http://edge', 'X-Keywarden-Console: 1', `Content-Length: ${body.length}`];
    const open = await sendRaw(world.edge.port, rawRequest('POST', '/v1/console/session', fields, body));
    expect(open?.status).toBe(403);
    expect(open?.body.toString()).toContain('tls_required');
    expect(open?.headers).not.toHaveProperty('set-cookie');
  });
});

it('a link to sign in is good for a quarter of an hour', async () => {
  const before = Date.now();
  const made = await world.edge.operate('/v1/console/links', { method: 'POST' });
  const { expires_at: end } = (await made.json()) as { expires_at: string };
  expect(Date.parse(end)).toBeGreaterThanOrEqual(before + 900_000);
  expect(Date.parse(end)).toBeLessThanOrEqual(Date.now() + 900_000);
});

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

  it('does not keep a session from being stopped; who is told that no row tells of it sends it again', async () => {
    const id = newSession();
    expect((await world.edge.operate('/v1/sessions', announcing(id, 'unstopped'))).status).toBe(201);
    inD1('ALTER TABLE audit RENAME TO away');
    for (let i = 0; i < 5; i += 1) await post('/v1/tokens', { agent_id: 'unstopped', capabilities: ALL }, 'minty');
    const stop = async () => {
      const said = await post(`/v1/sessions/${id}/stop`, {});
      return [said.status, (await said.json()) as { code?: string; state?: string }] as const;
    };
    expect(await stop()).toMatchObject([503, { code: 'ledger_full' }]);
    expect(await (await world.edge.operate(`/v1/sessions/${id}`)).json()).toMatchObject({ state: 'stopping' });
    inD1('ALTER TABLE away RENAME TO audit');
    await world.edge.operate('/v1/audit');
    expect(await stop()).toMatchObject([200, { state: 'stopping' }]);
    expect(await world.edge.audit({ session: id, event: 'session.stop_requested' })).toMatchObject([
      { operator: 'alice', detail: { again: true } },
    ]);
  });

  it('keeps them from giving a token of which no row would tell', async () => {
    inD1('ALTER TABLE audit RENAME TO away');
    const mint = async () => {
      const said = await post('/v1/tokens', { agent_id: 'unrecorded', capabilities: ALL }, 'minty');
      const { code = null, token } = (await said.json()) as { code?: string; token?: string };
      return [said.status, code, typeof token];
    };
    const minted = [];
    for (let i = 0; i < 6; i += 1) minted.push(await mint());
    expect(minted.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => [200, null, 'string']));
    expect(minted[5]).toEqual([503, 'ledger_full', 'undefined']);
    inD1('ALTER TABLE away RENAME TO audit');
    await world.edge.operate('/v1/audit');
    expect(await mint()).toEqual([200, null, 'string']);
  });
});
