import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { promisesKept, refused, startWorld, WORDS, type World } from '../../support/client-world.ts';
import { startGate } from '../../support/gate.ts';
import { EVENT_GAP_MS, openaiRoutes, openaiUnauthorized } from '../../support/openai-server.ts';

const KEY = 'sk-proj-Kanary000000000000000000000000';

describe('the official openai client through the edge', () => {
  let world: World;
  let token: string;

  const client = (apiKey: string, { service = world.service, retries = 0 as number | undefined } = {}): OpenAI =>
    new OpenAI({
      apiKey,
      baseURL: `${world.edge.proxy(service)}/v1`,
      ...(retries === undefined ? {} : { maxRetries: retries }),
    });
  const chat = { model: 'gpt-4o-mini', messages: [{ role: 'user' as const, content: 'good day to you' }] };

  beforeAll(async () => {
    const gate = await startGate({
      credential: { header: 'authorization', value: `Bearer ${KEY}` },
      routes: openaiRoutes,
      unauthorized: openaiUnauthorized,
    });
    world = await startWorld({ service: 'openai', gate, vars: { OPENAI_API_KEY: KEY }, onceAnHour: ['chat'] });
    token = await world.edge.mint('writer', ['openai:list_models', 'openai:chat', 'openai:respond']);
  });
  afterAll(() => world?.stop());

  test('lists the models with a capability token in the place of the key', async () => {
    expect((await client(token).models.list()).data.map((m) => m.id)).toEqual(['gpt-4o-mini']);
  });

  test('chats', async () => {
    expect((await client(token).chat.completions.create(chat)).choices[0]?.message.content).toBe(
      'You said: good day to you',
    );
  });

  test('streams a chat, word by word as the service sends them', async () => {
    let text = '';
    const arrivals: number[] = [];
    for await (const chunk of await client(token).chat.completions.create({ ...chat, stream: true })) {
      arrivals.push(performance.now());
      text += chunk.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe('You said: good day to you');
    // The service takes its time between the words; all at once at the end would be buffering.
    expect((arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)).toBeGreaterThan(EVENT_GAP_MS * 3);
  });

  test('uses the Responses API, whole and streamed', async () => {
    const asked = { model: 'gpt-4o-mini', input: 'good day', store: false };
    expect((await client(token).responses.create(asked)).output_text).toBe('You said: good day');
    const types: string[] = [];
    let text = '';
    for await (const event of await client(token).responses.create({ ...asked, stream: true })) {
      types.push(event.type);
      if (event.type === 'response.output_text.delta') text += event.delta;
    }
    expect(text).toBe('You said: good day');
    expect(types.at(0)).toBe('response.created');
    expect(types.at(-1)).toBe('response.completed');
  });

  test("another caller's stored item in a response's input is refused, with its type or without", async () => {
    const before = world.gate.seen.length;
    for (const item of [{ id: 'msg_1' }, { id: 'msg_1', type: 'item_reference' as const }]) {
      const error = await refused(() =>
        client(token).responses.create({ model: 'gpt-4o-mini', input: [item], store: false }),
      );
      expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    }
    expect(world.gate.seen.length).toBe(before);
  });

  test('makes embeddings', async () => {
    const embedder = await world.edge.mint('embedder', ['openai:embed']);
    const made = await client(embedder).embeddings.create({ model: 'text-embedding-3-small', input: 'hello' });
    expect(made.data[0]?.embedding).toEqual([0.5, -0.25]);
  });

  test('an answer that its reader gives up is given up at the service too', async () => {
    const stream = await client(token).chat.completions.create({ ...chat, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    expect(await world.gate.seen.at(-1)?.closed).toBe('cut');
  });

  test('a call for which the token holds no capability is a PermissionDeniedError that names the capability', async () => {
    const error = await refused<InstanceType<typeof OpenAI.APIError>>(() =>
      client(token).embeddings.create({ model: 'text-embedding-3-small', input: 'x' }),
    );
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect(error.status).toBe(403);
    expect(error.message).toMatch(WORDS.missing);
    expect(error.message).toContain('openai:embed');
    expect(error.code).toBe('capability_missing');
  });

  test('an error of ours names the row of the audit that tells why, where the client shows the id of a call', async () => {
    const error = await refused<InstanceType<typeof OpenAI.APIError>>(() => client(token).models.retrieve('a/b'));
    const [row] = await world.edge.audit({ request_id: error.requestID ?? 'none' });
    expect(row).toMatchObject({ event: 'call.denied', reason: 'path_refused' });
  });

  test('a model that the policy does not name is refused with the condition', async () => {
    const error = await refused<InstanceType<typeof OpenAI.APIError>>(() =>
      client(token).chat.completions.create({ ...chat, model: 'gpt-dear' }),
    );
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect(error.message).toMatch(WORDS.condition);
  });

  test('a refused stream is an error as well, not an empty stream', async () => {
    const error = await refused<InstanceType<typeof OpenAI.APIError>>(() =>
      client(token).chat.completions.create({ ...chat, model: 'gpt-dear', stream: true }),
    );
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
  });

  test('with the retries it comes with, a denial still surfaces at once and is asked for once', async () => {
    const before = (await world.edge.audit({ event: 'call.denied' })).length;
    const error = await refused(
      () => client(token, { retries: undefined }).embeddings.create({ model: 'text-embedding-3-small', input: 'x' }),
      5_000,
    );
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect((await world.edge.audit({ event: 'call.denied' })).length).toBe(before + 1);
  });

  test('an expired token is an AuthenticationError', async () => {
    const expired = await world.edge.expired('writer', ['openai:list_models']);
    const error = await refused(() => client(expired).models.list());
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error.message).toMatch(WORDS.expired);
  });

  test('a call over the limit is a RateLimitError', async () => {
    const openai = client(await world.edge.mint('hasty', [`${world.tight}:chat`]), { service: world.tight });
    await openai.chat.completions.create(chat);
    const error = await refused<InstanceType<typeof OpenAI.APIError>>(() => openai.chat.completions.create(chat));
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error.message).toMatch(WORDS.limited);
    expect(Number(error.headers?.get('retry-after'))).toBeGreaterThan(0);
  });

  promisesKept(
    () => world,
    () => [KEY],
  );
});
