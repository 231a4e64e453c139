import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeSigningKey } from '../../runner/src/state/keys.ts';
import type { AuditListResponse, AuditVerifyResponse, Health, MintResponse, Problem } from '../../src/protocol.ts';
import { keywarden, scratch } from '../cli/command-line.ts';
import { json, startUpstream, type Upstream } from '../support/upstream.ts';
import { type BareWorker, startBareWorker } from './bare-worker.ts';

const KEY = 'sk_live_brokenENVIRONMENT0123';
const policy = (origin: string): string =>
  `service: bank\norigin: ${origin}\ncredential: { scheme: bearer, secret: BANK_KEY }\ncapabilities:\n  read: { allow: "GET /v1/balance" }\n`;

let upstream: Upstream;
let worker: BareWorker | null = null;
beforeAll(async () => {
  upstream = await startUpstream(json({ ok: true }));
});
afterAll(() => upstream?.stop());
beforeEach(() => upstream.forget());
afterEach(async () => {
  await worker?.stop();
  worker = null;
});

const start = async (
  change: (env: Record<string, string>) => Record<string, string>,
  options: { migrated?: boolean } = {},
): Promise<BareWorker> => (worker = await startBareWorker({ 'bank.yaml': policy(upstream.origin) }, change, options));

const whole = (env: Record<string, string>): Record<string, string> => ({ ...env, BANK_KEY: KEY });
const without = (name: string) => (env: Record<string, string>) =>
  Object.fromEntries(Object.entries(whole(env)).filter(([key]) => key !== name));
const asOperator = (the: BareWorker, path: string, init: RequestInit = {}) =>
  fetch(the.url + path, {
    ...init,
    headers: { authorization: `Bearer ${the.operatorKey}`, 'content-type': 'application/json' },
  });
const mint = async (the: BareWorker): Promise<string> => {
  const response = await asOperator(the, '/v1/tokens', {
    method: 'POST',
    body: JSON.stringify({ agent_id: 'a', capabilities: ['bank:read'] }),
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as MintResponse).token;
};
const call = (the: BareWorker, token: string) =>
  fetch(`${the.url}/proxy/bank/v1/balance`, { headers: { authorization: `Bearer ${token}` } });

describe('threat 27: the Worker itself refuses to serve in a broken environment, and says how to mend it', () => {
  const signing = makeSigningKey();
  const set = (name: string, value: string) => (env: Record<string, string>) => ({ ...whole(env), [name]: value });
  it.each<[string, (env: Record<string, string>) => Record<string, string>, RegExp, RegExp]>([
    [
      'without a secret that a policy names',
      without('BANK_KEY'),
      /BANK_KEY is missing/,
      /^write BANK_KEY=… into the file given to keywarden dev --vars$/,
    ],
    [
      'with an empty secret',
      set('BANK_KEY', ''),
      /BANK_KEY is empty/,
      /^write BANK_KEY=… into the file given to keywarden dev --vars$/,
    ],
    [
      'with a placeholder for a secret',
      set('BANK_KEY', 'changeme'),
      /BANK_KEY is a placeholder/,
      /^write BANK_KEY=… into the file given to keywarden dev --vars$/,
    ],
    [
      'with a secret that would split a header',
      set('BANK_KEY', `${KEY}\r\nX-Evil: 1`),
      /BANK_KEY holds a control character/,
      /^write BANK_KEY=… into the file given to keywarden dev --vars$/,
    ],
    [
      'with a secret too short to scrub',
      set('BANK_KEY', 'abc'),
      /BANK_KEY is shorter/,
      /^write BANK_KEY=… into the file given to keywarden dev --vars$/,
    ],
    ['without a signing key', without('KEYWARDEN_SIGNING_KEY'), /KEYWARDEN_SIGNING_KEY/, /keywarden keys create/],
    [
      'with a signing key that is cut short',
      set('KEYWARDEN_SIGNING_KEY', JSON.stringify(signing).slice(0, -9)),
      /KEYWARDEN_SIGNING_KEY/,
      /keywarden keys create/,
    ],
    [
      'with a signing key without its private part',
      set('KEYWARDEN_SIGNING_KEY', JSON.stringify({ ...signing, d: undefined })),
      /KEYWARDEN_SIGNING_KEY/,
      /keywarden keys create/,
    ],
    [
      'with a signing key of another kind',
      set('KEYWARDEN_SIGNING_KEY', JSON.stringify({ kty: 'oct', k: 'AAAA', kid: 'x' })),
      /KEYWARDEN_SIGNING_KEY/,
      /keywarden keys create/,
    ],
    [
      'with a previous key that is no key',
      set('KEYWARDEN_PREVIOUS_KEY', '{"kty":"OKP"}'),
      /KEYWARDEN_PREVIOUS_KEY/,
      /KEYWARDEN_PREVIOUS_KEY/,
    ],
    ...['LEDGER_MAX_WAITING_ROWS', 'OUTCOME_TIMEOUT_SECONDS', 'APPROVAL_MAX_PENDING', 'APPROVAL_MAX_HOURLY'].map(
      (name): [string, (env: Record<string, string>) => Record<string, string>, RegExp, RegExp] => [
        `with a ${name} that is no number`,
        set(`KEYWARDEN_${name}`, '10k'),
        new RegExp(`KEYWARDEN_${name} is no number above 0`),
        /wrangler\.toml \[vars\], or remove it/,
      ],
    ),
    ['without operators', without('KEYWARDEN_OPERATORS'), /KEYWARDEN_OPERATORS/, /keywarden keys create/],
    [
      'with operators that are no JSON',
      set('KEYWARDEN_OPERATORS', '[{"id":"x"'),
      /KEYWARDEN_OPERATORS/,
      /keywarden keys create/,
    ],
    [
      'with an operator of an unknown role',
      set('KEYWARDEN_OPERATORS', JSON.stringify([{ id: 'x', roles: ['root'], sha256: 'a'.repeat(64) }])),
      /KEYWARDEN_OPERATORS/,
      /keywarden keys create/,
    ],
    [
      'with an operator key in the place of its hash',
      set('KEYWARDEN_OPERATORS', JSON.stringify([{ id: 'x', roles: ['mint'], sha256: 'kwop_plain' }])),
      /KEYWARDEN_OPERATORS/,
      /keywarden keys create/,
    ],
    [
      'with an issuer that is no URL',
      set('KEYWARDEN_ISSUER', 'keywarden'),
      /KEYWARDEN_ISSUER is no URL/,
      /wrangler\.toml/,
    ],
    ['without an issuer', without('KEYWARDEN_ISSUER'), /KEYWARDEN_ISSUER is not set/, /wrangler\.toml/],
    [
      'with half of Cloudflare Access',
      set('KEYWARDEN_ACCESS_ISSUER', 'https://team.cloudflareaccess.com'),
      /KEYWARDEN_ACCESS/,
      /wrangler\.toml/,
    ],
  ])('%s', async (_, change, problem, mend) => {
    const the = await start(change);
    const health = await fetch(`${the.url}/healthz`);
    const said = (await health.json()) as Health;
    expect(health.status).toBe(503);
    expect(said.status).toBe('broken');
    const match = said.problems.find((p) => problem.test(p.problem));
    expect(match, JSON.stringify(said.problems)).toBeDefined();
    expect(match?.mend).toMatch(mend);

    for (const response of [
      await call(the, 'anything'),
      await asOperator(the, '/v1/tokens', { method: 'POST', body: '{}' }),
      await asOperator(the, '/v1/audit'),
      await fetch(`${the.url}/.well-known/jwks.json`),
    ]) {
      expect(response.status).toBe(503);
      expect(((await response.json()) as Problem).code).toBe('environment_broken');
    }
    expect(upstream.seen).toHaveLength(0);
    // What is wrong is in the log for whoever runs it, and no value of it anywhere.
    expect(the.logs()).toMatch(problem);
    for (const text of [JSON.stringify(said), the.logs()]) {
      expect(text).not.toContain(KEY);
      expect(text).not.toContain(signing.d);
      expect(text).not.toContain('kwop_plain');
    }
  });

  it('with a migration that was never applied; and it serves as soon as it is mended', async () => {
    const the = await start(whole, { migrated: false });
    const said = (await (await fetch(`${the.url}/healthz`)).json()) as Health;
    expect(said.problems).toEqual([
      {
        problem: expect.stringMatching(/migrations are not applied/),
        mend: expect.stringMatching(/start keywarden dev again.*move its state directory/),
      },
    ]);
    expect((await call(the, 'x')).status).toBe(503);
    await the.migrate();
    expect((await fetch(`${the.url}/healthz`)).status).toBe(200);
    expect((await call(the, await mint(the))).status).toBe(200);
  });

  it('all of it at once: every problem is told', async () => {
    const the = await start(() => ({}), { migrated: false });
    const { problems } = (await (await fetch(`${the.url}/healthz`)).json()) as Health;
    for (const name of ['BANK_KEY', 'KEYWARDEN_SIGNING_KEY', 'KEYWARDEN_OPERATORS', 'KEYWARDEN_ISSUER', 'migrations']) {
      expect(problems.map((p) => p.problem).join('\n')).toContain(name);
    }
  });

  it('outside keywarden dev the mends are wrangler’s commands', async () => {
    const the = await start(({ KEYWARDEN_MODE: _, ...env }) => env, { migrated: false });
    const { problems } = (await (await fetch(`${the.url}/healthz`)).json()) as Health;
    const mends = problems.map((p) => p.mend).join('\n');
    expect(mends).toContain('wrangler secret put BANK_KEY');
    expect(mends).toContain('npx wrangler d1 migrations apply DB --remote');
    expect(mends).not.toContain('keywarden dev');
  });

  it('without keywarden dev and without agents.yaml nobody may mint', async () => {
    const the = await start((env) =>
      Object.fromEntries(Object.entries(whole(env)).filter(([name]) => name !== 'KEYWARDEN_MODE')),
    );
    const response = await asOperator(the, '/v1/tokens', {
      method: 'POST',
      body: JSON.stringify({ agent_id: 'a', capabilities: ['bank:read'] }),
    });
    // A loopback origin is for dev alone: such a Worker may refuse to serve altogether.
    expect([403, 503]).toContain(response.status);
    expect(await response.text()).not.toContain('"token"');
  });
});

describe('threat 27: D1 breaks in the middle', () => {
  it('calls are made and kept in the ledger, reading the audit says 503, and when D1 is back no row is missing or doubled', async () => {
    const the = await start(whole);
    const token = await mint(the);
    expect((await call(the, token)).status).toBe(200);
    const db = await the.db();
    await db.prepare('ALTER TABLE audit RENAME TO audit_away').run();
    const during = await Promise.all(Array.from({ length: 5 }, () => call(the, token)));
    const ids = during.map((response) => response.headers.get('keywarden-request-id'));
    for (const response of during) expect(response.status).toBe(200);
    expect(upstream.seen).toHaveLength(6);
    expect((await asOperator(the, '/v1/audit')).status).toBe(503);
    expect((await asOperator(the, '/v1/audit/verify')).status).toBe(503);

    await db.prepare('ALTER TABLE audit_away RENAME TO audit').run();
    await expect.poll(async () => (await asOperator(the, '/v1/audit')).status, { timeout: 20_000 }).toBe(200);
    const { rows } = (await (await asOperator(the, '/v1/audit?limit=1000')).json()) as AuditListResponse;
    for (const id of ids)
      expect(rows.filter((row) => row.request_id === id && row.event === 'call.admitted')).toHaveLength(1);
    expect((await (await asOperator(the, '/v1/audit/verify')).json()) as AuditVerifyResponse).toMatchObject({
      ok: true,
      problems: [],
    });
  });

  it('no token is given that could not be written down', async () => {
    const the = await start(whole);
    await mint(the);
    const db = await the.db();
    await db.prepare('ALTER TABLE tokens RENAME TO tokens_away').run();
    const response = await asOperator(the, '/v1/tokens', {
      method: 'POST',
      body: JSON.stringify({ agent_id: 'b', capabilities: ['bank:read'] }),
    });
    const text = await response.text();
    expect(response.status).toBe(503);
    expect(text).toContain('database_unavailable');
    expect(text).not.toContain('eyJ');
    expect(text).not.toMatch(/SQLITE|no such table/);
  });
});

describe('threat 27: keywarden dev does not start broken, and never shows a value', () => {
  let place: ReturnType<typeof scratch>;
  beforeEach(() => {
    place = scratch();
    place.file('policies/bank.yaml', policy(upstream.origin));
    place.file('vars.env', `BANK_KEY=${KEY}\n`);
  });
  afterEach(() => place.remove());
  const dev = () =>
    keywarden(['dev', '--port', '0', '--policies', 'policies', '--vars', 'vars.env', '--state', 'state'], {
      cwd: place.path,
    });

  const signing = makeSigningKey();
  const state = (name: string, text: string) => () => {
    mkdirSync(join(place.path, 'state'), { mode: 0o700, recursive: true });
    writeFileSync(join(place.path, 'state', name), text, { mode: 0o600 });
  };
  const vars = (text: string) => () => void place.file('vars.env', text);
  it.each<[string, () => void, RegExp, RegExp]>([
    ['a missing secret', vars('X=1\n'), /the secret BANK_KEY is missing/, /write BANK_KEY=/],
    ['a placeholder', vars('BANK_KEY=changeme\n'), /BANK_KEY is a placeholder/, /BANK_KEY/],
    [
      'a secret with a line break in it',
      vars(`BANK_KEY="${KEY}\\nX-Evil: 1"\n`),
      /BANK_KEY holds a control character/,
      /BANK_KEY/,
    ],
    [
      'a signing key that is cut short',
      state('signing.jwk', JSON.stringify(signing).slice(0, -9)),
      /signing\.jwk is no signing key/,
      /delete it/,
    ],
    [
      'a signing key whose halves do not fit',
      state('signing.jwk', JSON.stringify({ ...signing, x: makeSigningKey().x })),
      /signing\.jwk is no signing key/,
      /delete it/,
    ],
    [
      'an operator key of nothing',
      state('operator.key', 'short\n'),
      /operator\.key holds no operator key/,
      /delete the file/,
    ],
    [
      'operators that are no JSON',
      vars(`BANK_KEY=${KEY}\nKEYWARDEN_OPERATORS=[{"id":"x"\n`),
      /KEYWARDEN_OPERATORS/,
      /keywarden keys create/,
    ],
    [
      'operators of an unknown role',
      vars(`BANK_KEY=${KEY}\nKEYWARDEN_OPERATORS='[{"id":"x","roles":["root"],"sha256":"${'a'.repeat(64)}"}]'\n`),
      /KEYWARDEN_OPERATORS/,
      /keywarden keys create/,
    ],
    [
      'a signing key in the vars file that is none',
      vars(`BANK_KEY=${KEY}\nKEYWARDEN_SIGNING_KEY='{"kty":"RSA"}'\n`),
      /KEYWARDEN_SIGNING_KEY in .* is no signing key/,
      /keywarden keys create/,
    ],
  ])('%s', async (_, spoil, error, hint) => {
    spoil();
    const { code, stdout, stderr } = await dev();
    expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
    expect(stderr).toMatch(error);
    expect(stderr).toMatch(/keywarden: hint: /);
    expect(stderr).toMatch(hint);
    for (const secret of [KEY, signing.d]) expect(stderr).not.toContain(secret);
    expect(existsSync(join(place.path, 'state', 'edge.json'))).toBe(false);
  });
});
