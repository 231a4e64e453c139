import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { promisesKept, startWorld, WORDS, type World } from '../../support/client-world.ts';
import { startEmulated } from '../../support/emulate.ts';
import { startGate } from '../../support/gate.ts';
import { start } from '../../support/process.ts';
import { json } from '../../support/upstream.ts';

const KEY = 'sk_test_51Kanary1111111111111111';

describe('curl through the edge', () => {
  let world: World;
  let token: string;
  let home: string;

  async function curl(...args: string[]): Promise<{ readonly code: number | null; readonly output: string }> {
    // -q: no .curlrc of whoever runs the tests.
    const program = start('curl', ['-q', '-sS', '--max-time', '20', '--fail-with-body', ...args], {
      env: { PATH: process.env.PATH, HOME: home },
    });
    const { code } = await program.ended;
    return { code, output: program.output() };
  }
  const url = (path: string, service = world.service): string => world.edge.proxy(service) + path;

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'keywarden-curl-'));
    const emulated = await startEmulated('stripe');
    const gate = await startGate({
      to: emulated.origin,
      credential: { header: 'authorization', value: `Bearer ${KEY}` },
      routes: { 'GET /v1/balance': json({ object: 'balance', available: [{ amount: 4200, currency: 'usd' }] }) },
    });
    world = await startWorld({
      service: 'stripe',
      gate,
      vars: { STRIPE_KEY: KEY },
      onceAnHour: ['read_balance'],
      behind: [emulated],
    });
    token = await world.edge.mint('shell', ['stripe:read_balance', 'stripe:create_customer', 'stripe:list_customers']);
  });
  afterAll(async () => {
    rmSync(home, { recursive: true, force: true });
    await world?.stop();
  });

  test('sends the token as a bearer token', async () => {
    const { code, output } = await curl('-H', `Authorization: Bearer ${token}`, url('/v1/balance'));
    expect(code).toBe(0);
    expect(JSON.parse(output)).toMatchObject({ object: 'balance' });
  });

  test('sends the token as the user name of Basic, as Stripe teaches', async () => {
    expect(await curl('-u', `${token}:`, url('/v1/balance'))).toMatchObject({ code: 0 });
    expect(world.gate.seen.at(-1)?.headers.authorization).toBe(`Bearer ${KEY}`);
  });

  test('sends the token as the password of Basic', async () => {
    expect(await curl('-u', `anyone:${token}`, url('/v1/balance'))).toMatchObject({ code: 0 });
  });

  test('posts a form', async () => {
    const { code, output } = await curl(
      '-u',
      `${token}:`,
      url('/v1/customers'),
      '-d',
      'email=a@example.com',
      '--data-urlencode',
      'name=Åsa & Söhne',
    );
    expect(code).toBe(0);
    expect(JSON.parse(output)).toMatchObject({ email: 'a@example.com', name: 'Åsa & Söhne' });
  });

  test('posts a form from a file, announced by Expect: 100-continue', async () => {
    const file = join(home, 'form');
    writeFileSync(file, `email=b@example.com&description=${'x'.repeat(20_000)}`);
    expect(
      await curl('-u', `${token}:`, '-H', 'Expect: 100-continue', '--data-binary', `@${file}`, url('/v1/customers')),
    ).toMatchObject({ code: 0 });
  });

  test('a call for which the token holds no capability fails (22), with our message in the body', async () => {
    const { code, output } = await curl('-u', `${token}:`, url('/v1/charges'));
    expect(code).toBe(22);
    expect(output).toMatch(WORDS.missing);
    expect(output).toContain('stripe:list_charges');
  });

  test('a denial that has no body, or one that nobody shows, names itself in the status line', async () => {
    const read = await curl('-i', '-u', `${token}:`, url('/v1/charges'));
    expect(read.output).toMatch(/^HTTP\/1\.1 403 Capability missing\r?$/m);
    const head = await curl('-I', '-u', `${token}:`, url('/v1/charges'));
    expect(head.output).toMatch(/^HTTP\/1\.1 403 Not allowed\r?$/m);
    const upload = await curl('-i', '-u', `${token}:`, '-d', 'x'.repeat(100_000), url('/v1/charges'));
    expect(upload.output).toMatch(/^HTTP\/1\.1 403 Not allowed\r?$/m);
  });

  test('no token at all is answered by a challenge', async () => {
    const { code, output } = await curl('-i', url('/v1/balance'));
    expect(code).toBe(22);
    expect(output).toMatch(/^www-authenticate: Bearer/im);
  });

  test('an expired token fails (22), with our message in the body', async () => {
    const { code, output } = await curl(
      '-u',
      `${await world.edge.expired('shell', ['stripe:read_balance'])}:`,
      url('/v1/balance'),
    );
    expect(code).toBe(22);
    expect(output).toMatch(WORDS.expired);
  });

  test('a call over the limit fails (22), with our message and Retry-After', async () => {
    const hasty = await world.edge.mint('hasty', [`${world.tight}:read_balance`]);
    const first = await curl('-i', '-u', `${hasty}:`, url('/v1/balance', world.tight));
    expect(first.code).toBe(0);
    expect(first.output).toMatch(/^ratelimit: "stripe-tight:read_balance";r=0;t=\d+/im);
    const second = await curl('-i', '-u', `${hasty}:`, url('/v1/balance', world.tight));
    expect(second.code).toBe(22);
    expect(second.output).toMatch(/^HTTP\/1\.1 429/m);
    expect(second.output).toMatch(/^retry-after: [1-9]\d*/im);
    expect(second.output).toMatch(WORDS.limited);
  });

  promisesKept(
    () => world,
    () => [KEY],
  );
});
