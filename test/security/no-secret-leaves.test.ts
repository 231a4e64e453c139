import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keywarden } from '../cli/command-line.ts';
import { familyOf, freePort } from '../support/process.ts';
import type { RawResponse } from '../support/raw.ts';
import { answer, echo, garbage, gzip, hang, json, reset, sse } from '../support/upstream.ts';
import { type Canary, formsOf, Search } from './canaries.ts';
import { SECRETS } from './planted.ts';
import { ALL, policiesFor, startWorld, type World } from './world.ts';

/** Must be found: it proves that the search sees what was written into D1 and the Durable Objects. */
const CONTROL = `control-${crypto.randomUUID()}`;

let world: World;
let scratch: string;
let canaries: readonly Canary[];
let control: Search;
let search: Search;
const answers: [string, RawResponse][] = [];

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'keywarden-canaries-'));
  const nobody = await freePort();
  const temporary = join(scratch, 'tmp');
  mkdirSync(temporary);
  world = await startWorld({
    policies: (origin) => ({
      ...policiesFor(origin),
      'down.yaml': `service: down\norigin: http://127.0.0.1:${nobody}\ncredential: { scheme: query, param: key, secret: QUERY_KEY }\ncapabilities:\n  read: { allow: "GET /{path+}" }\n`,
    }),
    vars: SECRETS,
    edge: { env: { TMPDIR: temporary } },
  });
  const { d } = JSON.parse(readFileSync(join(world.edge.state, 'signing.jwk'), 'utf8')) as { d: string };
  canaries = [
    ...Object.entries(SECRETS).map(([name, value]) => ({ name, value })),
    { name: 'the operator key', value: world.edge.operatorKey },
    { name: 'the signing key', value: d },
  ];
  search = new Search(canaries);
  control = new Search([{ name: 'control', value: CONTROL }]);
}, 120_000);
afterAll(async () => {
  await world?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

/** How an upstream may say a key back: each form whole, base64 inside longer texts of every alignment. */
function saidBack(value: string): string[] {
  const plain = formsOf(value).filter(([form]) => !form.startsWith('base64'));
  const encoded = (['base64', 'base64url'] as const).flatMap((form) =>
    ['', 'a', 'ab'].flatMap((before) => ['', 'zz'].map((after) => Buffer.from(before + value + after).toString(form))),
  );
  return [...plain.map(([, bytes]) => bytes.toString('latin1')), ...encoded];
}

/** Keeps the answer for the search. */
async function keep(what: string, call: Promise<RawResponse>): Promise<RawResponse> {
  const response = await call;
  answers.push([what, response]);
  return response;
}

/** All that was answered, as it came over the wire, decoded and not. */
function searchAnswers(): void {
  for (const [what, response] of answers) {
    search.in(`the answer to ${what}`, response.wire);
    search.in(`the body of the answer to ${what}`, response.body);
  }
}

describe('the search itself (positive control)', () => {
  it('finds a planted canary in each form, in a text and in a file, and says where but not what', () => {
    for (const { name, value } of canaries) {
      for (const [form, bytes] of formsOf(value)) {
        const own = new Search(canaries);
        own.in('a text', Buffer.concat([Buffer.from('before '), bytes, Buffer.from(' after')]));
        expect(own.leaks, `${name} ${form}`).toContainEqual({ name, form, place: 'a text' });
        expect(JSON.stringify(own.leaks)).not.toContain(value);
      }
    }
    const planted = join(scratch, 'planted');
    mkdirSync(planted);
    writeFileSync(join(planted, 'file'), `x${Buffer.from(`ab${SECRETS.BANK_KEY}c`).toString('base64')}x`);
    const own = new Search(canaries);
    own.inFiles(planted);
    expect(own.leaks.map((leak) => leak.name)).toContain('BANK_KEY');
  });
});

describe('no secret leaves', () => {
  it('through calls that go well, echoes, denials and faults', async () => {
    const token = await world.token([...ALL, 'down:read']);
    const services = ['bank', 'keyed', 'pair', 'queried', 'aws'];
    world.upstream.handle(json({ ok: true }));
    await keep('the control', world.call('bank', 'GET', `/v1/customers/${CONTROL}`, { token }));
    for (const service of services) {
      world.upstream.forget();
      world.upstream.handle(json({ ok: true }));
      const { status } = await keep(`${service}: happy`, world.call(service, 'POST', '/echo/x', { token, body: 'x' }));
      expect(status).toBe(200);
      // It was really used: the upstream got it.
      const seen = new Search(canaries);
      seen.in('upstream', JSON.stringify(world.upstream.seen[0]));
      expect(seen.leaks.length, service).toBeGreaterThan(0);

      world.upstream.handle(echo());
      await keep(`${service}: echo`, world.call(service, 'GET', '/echo/x', { token }));
      const said = Object.values(SECRETS)
        .flatMap((value) => formsOf(value).map(([, bytes]) => bytes.toString('latin1')))
        .join('\n');
      world.upstream.handle(answer(500, Buffer.from(said, 'latin1'), { 'content-type': 'text/plain' }));
      // A service scrubs its own credential; that of another it never had.
      const own =
        SECRETS[
          (
            { bank: 'BANK_KEY', keyed: 'KEYED_KEY', pair: 'PAIR_KEY', queried: 'QUERY_KEY', aws: 'AWS_SECRET' } as const
          )[service] ?? ''
        ] ?? '';
      const spellings = saidBack(own);
      world.upstream.handle(
        answer(500, Buffer.from(spellings.join('\n'), 'latin1'), {
          'content-type': 'text/plain',
          'x-echo': own,
          location: `/next?key=${encodeURIComponent(own)}`,
        }),
      );
      await keep(`${service}: an error page with every spelling`, world.call(service, 'GET', '/echo/x', { token }));
      world.upstream.handle(
        sse(
          spellings.map((s) => `data: ${JSON.stringify(s)}\n\n`),
          5,
        ),
      );
      await keep(`${service}: events with every spelling`, world.call(service, 'GET', '/echo/x', { token }));
      world.upstream.handle(gzip(own));
      await keep(`${service}: gzip`, world.call(service, 'GET', '/echo/x', { token }));
      world.upstream.handle(answer(302, own, { location: `http://evil.example/?${own}` }));
      await keep(`${service}: a foreign redirect`, world.call(service, 'GET', '/echo/x', { token }));
      for (const [what, handler] of [
        ['garbage', garbage(`HTTP/1.1 9 ${own}\r\n${own}`)],
        ['reset', reset()],
        ['a broken coding', answer(200, own, { 'content-encoding': 'zstd' })],
      ] as const) {
        world.upstream.handle(handler);
        await keep(`${service}: ${what}`, world.call(service, 'GET', '/echo/x', { token }));
      }
      await keep(`${service}: no token`, world.call(service, 'GET', '/echo/x'));
      await keep(`${service}: a bad token`, world.call(service, 'GET', '/echo/x', { token: `${token}x` }));
      await keep(`${service}: an unknown path`, world.call(service, 'GET', '/nothing', { token }));
      await keep(`${service}: a bad path`, world.call(service, 'GET', '/echo/../x', { token }));
      await keep(`${service}: TRACE`, world.call(service, 'TRACE', '/echo/x', { token }));
    }
    world.upstream.handle(hang());
    await keep('a hanging upstream', world.call('queried', 'GET', '/echo/x', { token }));
    await keep('a refused port', world.call('down', 'GET', '/x', { token }));
    await keep('an unknown service', world.call('nobody', 'GET', '/x', { token }));
    searchAnswers();
    expect(answers.length).toBeGreaterThan(70);
    expect(search.leaks).toEqual([]);
  });

  it('through our own API', async () => {
    const token = await world.token(ALL);
    const paths = [
      '/healthz',
      '/openapi.json',
      '/.well-known/jwks.json',
      '/v1/capabilities',
      '/v1/audit?limit=1000',
      '/v1/audit/verify',
      '/v1/audit/export',
      '/v1/audit?limit=x',
      '/v1/tokens',
      '/nothing',
    ];
    for (const path of paths) {
      for (const key of [world.edge.operatorKey, token, 'kwop_wrongwrongwrongwrong']) {
        const response = await fetch(world.edge.url + path, { headers: { authorization: `Bearer ${key}` } });
        const text = `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;
        search.in(`GET ${path}`, text);
        control.in('the API', text);
      }
    }
    for (const body of [
      '{',
      '{"agent_id":"a","capabilities":["bank:nothing"]}',
      `{"agent_id":${JSON.stringify(world.edge.operatorKey)}}`,
      'x'.repeat(70_000),
    ]) {
      const response = await world.edge.operate('/v1/tokens', { method: 'POST', body });
      search.in('POST /v1/tokens', await response.text());
    }
    expect(search.leaks).toEqual([]);
    expect(control.leaks.length, 'the control was in the audit').toBeGreaterThan(0);
  });

  it('through the command line, its errors and those of a broken environment', async () => {
    const env = { KEYWARDEN_URL: world.edge.url, KEYWARDEN_OPERATOR_KEY: world.edge.operatorKey };
    const policies = join(world.edge.directory, 'policies');
    /** Whether it went as far as it should: what stops at its usage would have nothing to say. */
    const run = async (code: number, args: readonly string[], more: Record<string, string> = env): Promise<void> => {
      const ended = await keywarden(args, { env: more, cwd: scratch });
      search.in(`keywarden ${args[0]} ${args[1]}`, ended.stdout + ended.stderr);
      expect(ended.code, `${args.join(' ')}: ${ended.stderr}`).toBe(code);
    };
    const token = (capability: string, ...more: string[]) => ['token', '--agent', 'a', '--can', capability, ...more];
    const explain = ['policy', 'explain', '--policies', policies, '--dev', '--agent', 'a', '--can', 'bank:read'];
    await run(0, token('bank:read'));
    await run(0, token('bank:read', '--json'));
    await run(125, token('bank:reed'));
    await run(125, token('bank:read'), { ...env, KEYWARDEN_URL: 'http://127.0.0.1:9' });
    await run(0, ['audit', 'list']);
    await run(0, ['audit', 'list', '--json']);
    await run(0, ['audit', 'export']);
    await run(0, ['audit', 'verify']);
    await run(125, ['audit', 'list'], { ...env, KEYWARDEN_OPERATOR_KEY: 'kwop_wrongwrongwrongwrong' });
    await run(0, ['doctor', '--state', world.edge.state]);
    await run(0, ['doctor', '--json', '--state', world.edge.state]);
    await run(1, ['policy', 'check', policies]);
    await run(0, ['policy', 'check', '--dev', policies]);
    await run(0, [...explain, 'GET', 'bank/v1/balance']);
    await run(1, [...explain, '--json', 'POST', 'bank/v1/refunds']);

    const broken: [string, string][] = [
      ['a secret that cannot be a field', `BANK_KEY="${SECRETS.KEYED_KEY}\\n${SECRETS.PAIR_KEY}"\n`],
      ['a bad signing key', `KEYWARDEN_SIGNING_KEY='{"kty":"OKP","d":"${SECRETS.KEYED_KEY}"}'\n`],
      ['bad operators', `KEYWARDEN_OPERATORS=[{"id":"${SECRETS.KEYED_KEY}\n`],
    ];
    for (const [what, text] of broken) {
      const file = join(scratch, 'broken.vars');
      writeFileSync(
        file,
        Object.entries(SECRETS)
          .filter(([name]) => !text.startsWith(name))
          .map(([name, value]) => `${name}='${value}'\n`)
          .join('') + text,
      );
      const state = join(scratch, `state-${what.replaceAll(' ', '-')}`);
      await run(125, ['dev', '--port', '0', '--policies', policies, '--vars', file, '--state', state]);
    }
    expect(search.leaks).toEqual([]);
  });

  it('into logs, files, arguments or environments of what runs', () => {
    for (const { pid, name } of familyOf(world.edge.pid)) {
      for (const part of ['cmdline', 'environ']) search.in(`${part} of ${name}`, readFileSync(`/proc/${pid}/${part}`));
    }
    search.in('what the CLI and the Worker said', world.edge.logs());
    search.inFiles(world.edge.directory, ['secrets.vars', 'state/operator.key', 'state/signing.jwk']);
    search.inFiles(join(scratch, 'tmp'));
    expect(search.leaks).toEqual([]);

    const files = new Search([{ name: 'control', value: CONTROL }]);
    files.inFiles(world.edge.state);
    expect(files.leaks.length, 'the control stands in D1 or a Durable Object').toBeGreaterThan(0);
    expect(search.bytes).toBeGreaterThan(1_000_000);
  });
});
