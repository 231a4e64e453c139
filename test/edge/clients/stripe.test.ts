import Stripe from 'stripe';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { promisesKept, refused, startWorld, WORDS, type World } from '../../support/client-world.ts';
import { startEmulated } from '../../support/emulate.ts';
import { startGate } from '../../support/gate.ts';
import { json } from '../../support/upstream.ts';

const KEY = 'sk_test_51Kanary0000000000000000';

describe('the official stripe client through the edge', () => {
  let world: World;
  let token: string;

  /** The client as it ships: only its address and its key are set. It knows no path prefix, so its documented fetch hook adds one. */
  function client(key: string, { service = world.service, retries = 0 as number | undefined } = {}): Stripe {
    const base = new URL(world.edge.proxy(service));
    return new Stripe(key, {
      protocol: 'http',
      host: base.hostname,
      port: base.port,
      telemetry: false,
      ...(retries === undefined ? {} : { maxNetworkRetries: retries }),
      httpClient: Stripe.createFetchHttpClient((async (url: string | URL, init: RequestInit) => {
        const target = new URL(url);
        target.pathname = base.pathname + target.pathname;
        return fetch(target, init);
      }) as typeof fetch),
    });
  }

  beforeAll(async () => {
    const emulated = await startEmulated('stripe');
    const gate = await startGate({
      to: emulated.origin,
      credential: { header: 'authorization', value: `Bearer ${KEY}` },
      // emulate has no balance.
      routes: {
        'GET /v1/balance': json({
          object: 'balance',
          available: [{ amount: 4200, currency: 'usd', source_types: { card: 4200 } }],
          livemode: false,
          pending: [],
        }),
      },
      unauthorized: json({ error: { type: 'invalid_request_error', message: 'Invalid API Key provided' } }, 401),
    });
    world = await startWorld({
      service: 'stripe',
      gate,
      vars: { STRIPE_KEY: KEY },
      onceAnHour: ['read_balance'],
      behind: [emulated],
    });
    token = await world.edge.mint(
      'till',
      [
        'read_balance',
        'list_customers',
        'read_customer',
        'create_customer',
        'create_payment_intent',
        'read_payment_intent',
        'list_charges',
      ].map((c) => `stripe:${c}`),
    );
  });
  afterAll(() => world?.stop());

  test('reads the balance with a capability token in the place of the key', async () => {
    const balance = await client(token).balance.retrieve();
    expect(balance.available[0]).toMatchObject({ amount: 4200, currency: 'usd' });
  });

  test('creates a customer, finds it again, and pages through the list', async () => {
    const stripe = client(token);
    const made = await stripe.customers.create({
      email: 'åsa@example.com',
      name: 'Åsa & Söhne',
      metadata: { order: '7/8' },
    });
    expect(await stripe.customers.retrieve(made.id)).toMatchObject({
      id: made.id,
      email: 'åsa@example.com',
      name: 'Åsa & Söhne',
    });
    const ids: string[] = [];
    for await (const customer of stripe.customers.list({ limit: 1 })) ids.push(customer.id);
    expect(ids).toContain(made.id);
  });

  test('asks for a payment with an idempotency key, which reaches the upstream', async () => {
    const intent = await client(token).paymentIntents.create(
      { amount: 500, currency: 'usd', metadata: { a: 'b' } },
      { idempotencyKey: 'order-17' },
    );
    expect(intent).toMatchObject({ object: 'payment_intent', amount: 500, currency: 'usd' });
    expect(world.gate.seen.at(-1)?.headers['idempotency-key']).toBe('order-17');
  });

  test('an older version of the API, in which objects carry others along unasked, is refused', async () => {
    const before = world.gate.seen.length;
    const error = await refused<Stripe.errors.StripeError>(() =>
      client(token).customers.retrieve('cus_1', {}, { apiVersion: '2019-12-03' }),
    );
    expect(error).toBeInstanceOf(Stripe.errors.StripePermissionError);
    expect(world.gate.seen.length).toBe(before);
  });

  test('offers several means of payment', async () => {
    const intent = await client(token).paymentIntents.create({
      amount: 500,
      currency: 'usd',
      allowed_payment_method_types: ['card', 'link'],
    });
    expect(intent.object).toBe('payment_intent');
  });

  test('reaches the edge with the path prefix in its host setting too, without any hook', async () => {
    const base = new URL(world.edge.proxy('stripe'));
    const stripe = new Stripe(token, {
      protocol: 'http',
      host: base.hostname + base.pathname,
      port: base.port,
      telemetry: false,
      maxNetworkRetries: 0,
      httpClient: Stripe.createFetchHttpClient(),
    });
    expect((await stripe.balance.retrieve()).object).toBe('balance');
  });

  test('an error of the service itself stays what it is', async () => {
    const error = await refused<Stripe.errors.StripeError>(() => client(token).paymentIntents.retrieve('pi_unknown'));
    expect(error).toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
    expect(error).toMatchObject({ statusCode: 404, code: 'resource_missing' });
  });

  test('a call for which the token holds no capability is a StripePermissionError that names the capability', async () => {
    const error = await refused<Stripe.errors.StripeError>(() =>
      client(token).refunds.create({ payment_intent: 'pi_1', amount: 100 }),
    );
    expect(error).toBeInstanceOf(Stripe.errors.StripePermissionError);
    expect(error.statusCode).toBe(403);
    expect(error.message).toMatch(WORDS.missing);
    expect(error.message).toContain('stripe:refund');
  });

  test('an error of ours names the row of the audit that tells why, where the client shows the id of a call', async () => {
    const error = await refused<Stripe.errors.StripeError>(() => client(token).refunds.list());
    const [row] = await world.edge.audit({ request_id: error.requestId ?? 'none' });
    expect(row).toMatchObject({ event: 'call.denied', reason: 'capability_missing' });
  });

  test('a payment above the bound is refused with the condition', async () => {
    const error = await refused<Stripe.errors.StripeError>(() =>
      client(token).paymentIntents.create({ amount: 10_001, currency: 'usd' }),
    );
    expect(error).toBeInstanceOf(Stripe.errors.StripePermissionError);
    expect(error.message).toMatch(WORDS.condition);
  });

  test('with the retries it comes with, a denial still surfaces at once and is asked for once', async () => {
    const before = (await world.edge.audit({ event: 'call.denied' })).length;
    const error = await refused(
      () => client(token, { retries: undefined }).refunds.create({ payment_intent: 'pi_1', amount: 100 }),
      5_000,
    );
    expect(error).toBeInstanceOf(Stripe.errors.StripePermissionError);
    expect((await world.edge.audit({ event: 'call.denied' })).length).toBe(before + 1);
  });

  test('an expired token is a StripeAuthenticationError', async () => {
    const expired = await world.edge.expired('till', ['stripe:read_balance']);
    const error = await refused<Stripe.errors.StripeError>(() => client(expired).balance.retrieve());
    expect(error).toBeInstanceOf(Stripe.errors.StripeAuthenticationError);
    expect(error.message).toMatch(WORDS.expired);
  });

  test('a call over the limit is a StripeRateLimitError', async () => {
    const stripe = client(await world.edge.mint('hasty', [`${world.tight}:read_balance`]), { service: world.tight });
    await stripe.balance.retrieve();
    const error = await refused<Stripe.errors.StripeError>(() => stripe.balance.retrieve());
    expect(error).toBeInstanceOf(Stripe.errors.StripeRateLimitError);
    expect(error.message).toMatch(WORDS.limited);
    expect(Number(error.headers?.['retry-after'])).toBeGreaterThan(0);
  });

  promisesKept(
    () => world,
    () => [KEY],
  );
});
