import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anthropicRoutes, anthropicUnauthorized, EVENT_GAP_MS } from '../../support/anthropic-server.ts';
import { promisesKept, refused, startWorld, WORDS, type World } from '../../support/client-world.ts';
import { startGate } from '../../support/gate.ts';

const KEY = 'sk-ant-api03-Kanary00000000000000000000';

describe('the official @anthropic-ai/sdk client through the edge', () => {
  let world: World;
  let token: string;

  const client = (apiKey: string, { service = world.service, retries = 0 as number | undefined } = {}): Anthropic =>
    new Anthropic({
      apiKey,
      baseURL: world.edge.proxy(service),
      ...(retries === undefined ? {} : { maxRetries: retries }),
    });
  const message = {
    model: 'claude-sonnet-5-5',
    max_tokens: 64,
    messages: [{ role: 'user' as const, content: 'good day to you' }],
  };

  beforeAll(async () => {
    const gate = await startGate({
      credential: { header: 'x-api-key', value: KEY },
      routes: anthropicRoutes,
      unauthorized: anthropicUnauthorized,
    });
    world = await startWorld({
      service: 'anthropic',
      gate,
      vars: { ANTHROPIC_API_KEY: KEY },
      onceAnHour: ['create_message'],
    });
    token = await world.edge.mint('writer', ['anthropic:create_message', 'anthropic:count_tokens']);
  });
  afterAll(() => world?.stop());

  test('asks a model with a capability token in the place of the key', async () => {
    const answer = await client(token).messages.create(message);
    expect(answer.content).toEqual([{ type: 'text', text: 'You said: good day to you' }]);
  });

  test('takes the token as a bearer token too', async () => {
    const bearer = new Anthropic({
      authToken: token,
      apiKey: null,
      baseURL: world.edge.proxy('anthropic'),
      maxRetries: 0,
    });
    expect((await bearer.messages.create(message)).stop_reason).toBe('end_turn');
    expect(world.gate.seen.at(-1)?.headers).not.toHaveProperty('authorization');
  });

  test('streams, event by event as the service sends them', async () => {
    const types: string[] = [];
    const arrivals: number[] = [];
    for await (const event of await client(token).messages.create({ ...message, stream: true })) {
      types.push(event.type);
      arrivals.push(performance.now());
    }
    expect(types.at(0)).toBe('message_start');
    expect(types.at(-1)).toBe('message_stop');
    expect((arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)).toBeGreaterThan(EVENT_GAP_MS * 3);
  });

  test('its own stream helper collects the same text', async () => {
    expect(await client(token).messages.stream(message).finalText()).toBe('You said: good day to you');
  });

  test('counts tokens', async () => {
    const { model, messages } = message;
    expect((await client(token).messages.countTokens({ model, messages })).input_tokens).toBe(8);
  });

  test('a call for which the token holds no capability is a PermissionDeniedError that names the capability', async () => {
    const error = await refused<InstanceType<typeof Anthropic.APIError>>(() => client(token).models.list());
    expect(error).toBeInstanceOf(Anthropic.PermissionDeniedError);
    expect(error.status).toBe(403);
    expect(error.message).toMatch(WORDS.missing);
    expect(error.message).toContain('anthropic:list_models');
  });

  test('of several rights that a call fits in none, the conditions of each are told', async () => {
    const both = await world.edge.mint('thinker', ['anthropic:create_message', 'anthropic:create_message_opus']);
    const error = await refused(() =>
      client(both).messages.create({ ...message, model: 'claude-opus-4-5', max_tokens: 16_001, stream: true }),
    );
    expect(error.message).toMatch(WORDS.condition);
    expect(error.message).toContain('anthropic:create_message_opus only when: body.max_tokens <= 16000');
    const [row] = await world.edge.audit({ agent: 'thinker', event: 'call.denied' });
    expect(row?.detail).toMatchObject({
      capability: 'anthropic:create_message',
      others: expect.stringContaining('anthropic:create_message_opus only when: body.max_tokens <= 16000'),
    });
  });

  test('an error of ours names the row of the audit that tells why, where the client shows the id of a call', async () => {
    const error = await refused<InstanceType<typeof Anthropic.APIError>>(() => client(token).models.list());
    const [row] = await world.edge.audit({ request_id: error.requestID ?? 'none' });
    expect(row).toMatchObject({ event: 'call.denied', reason: 'capability_missing' });
  });

  test('more tokens than the policy grants are refused with the condition', async () => {
    const error = await refused(() => client(token).messages.create({ ...message, max_tokens: 64_000, stream: true }));
    expect(error).toBeInstanceOf(Anthropic.PermissionDeniedError);
    expect(error.message).toMatch(WORDS.condition);
  });

  test('another workspace of the same key, which the client asks for in a field, is refused', async () => {
    const before = world.gate.seen.length;
    const error = await refused(() => client(token).messages.create({ ...message, workspace_id: 'wrkspc_other' }));
    expect(error).toBeInstanceOf(Anthropic.PermissionDeniedError);
    expect(world.gate.seen.length).toBe(before);
  });

  test('with the retries it comes with, a denial still surfaces at once and is asked for once', async () => {
    const before = (await world.edge.audit({ event: 'call.denied' })).length;
    const error = await refused(() => client(token, { retries: undefined }).models.list(), 5_000);
    expect(error).toBeInstanceOf(Anthropic.PermissionDeniedError);
    expect((await world.edge.audit({ event: 'call.denied' })).length).toBe(before + 1);
  });

  test('an expired token is an AuthenticationError', async () => {
    const expired = await world.edge.expired('writer', ['anthropic:create_message']);
    const error = await refused(() => client(expired).messages.create(message));
    expect(error).toBeInstanceOf(Anthropic.AuthenticationError);
    expect(error.message).toMatch(WORDS.expired);
  });

  test('a call over the limit is a RateLimitError', async () => {
    const anthropic = client(await world.edge.mint('hasty', [`${world.tight}:create_message`]), {
      service: world.tight,
    });
    await anthropic.messages.create(message);
    const error = await refused<InstanceType<typeof Anthropic.APIError>>(() => anthropic.messages.create(message));
    expect(error).toBeInstanceOf(Anthropic.RateLimitError);
    expect(error.message).toMatch(WORDS.limited);
    expect(Number(error.headers?.get('retry-after'))).toBeGreaterThan(0);
  });

  promisesKept(
    () => world,
    () => [KEY],
  );
});
