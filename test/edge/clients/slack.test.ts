import { ErrorCode, WebClient, type WebClientOptions } from '@slack/web-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { promisesKept, refused, startWorld, WORDS, type World } from '../../support/client-world.ts';
import { startEmulated } from '../../support/emulate.ts';
import { startGate } from '../../support/gate.ts';
import { json } from '../../support/upstream.ts';

const KEY = 'xoxb-000000000000-Kanary00000000000000';

type SlackError = Error & {
  readonly code: string;
  readonly data?: { readonly error: string };
  readonly retryAfter?: number;
};

describe('the official @slack/web-api client through the edge', () => {
  let world: World;
  let token: string;

  const client = (
    key: string,
    { service = world.service, ...more }: WebClientOptions & { readonly service?: string } = {},
  ): WebClient =>
    new WebClient(key, {
      slackApiUrl: `${world.edge.proxy(service)}/api/`,
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      logger: silent,
      ...more,
    });
  const silent = {
    debug() {},
    info() {},
    warn() {},
    error() {},
    setLevel() {},
    getLevel: () => 'error' as never,
    setName() {},
  };

  beforeAll(async () => {
    const emulated = await startEmulated('slack', {
      seed: { tokens: { [KEY]: { login: 'U000000001', scopes: ['chat:write', 'channels:read'] } } },
    });
    const gate = await startGate({
      to: emulated.origin,
      credential: { header: 'authorization', value: `Bearer ${KEY}` },
      unauthorized: json({ ok: false, error: 'invalid_auth' }),
    });
    world = await startWorld({
      service: 'slack',
      gate,
      vars: { SLACK_BOT_TOKEN: KEY },
      onceAnHour: ['list_channels'],
      behind: [emulated],
    });
    token = await world.edge.mint(
      'herald',
      ['list_channels', 'post_message', 'read_history', 'add_reaction'].map((c) => `slack:${c}`),
    );
  });
  afterAll(() => world?.stop());

  const channelId = async (): Promise<string> => {
    const { channels } = await client(token).conversations.list();
    return channels?.find((c) => c.name === 'general')?.id ?? '';
  };

  test('lists the channels with a capability token in the place of the key', async () => {
    expect(await channelId()).toMatch(/^C/);
  });

  test('posts a message and finds it in the history', async () => {
    const slack = client(token);
    const channel = await channelId();
    const posted = await slack.chat.postMessage({ channel, text: 'Grüße & <3' });
    expect(posted.ok).toBe(true);
    const { messages } = await slack.conversations.history({ channel });
    expect(messages?.map((m) => m.ts)).toContain(posted.ts);
  });

  test('an address in the text wants both previews off: to make one, Slack would call it', async () => {
    const slack = client(token);
    const channel = await channelId();
    const text = 'see https://evil.example/?d=secret.png';
    const before = world.gate.seen.length;
    for (const more of [{}, { unfurl_links: false }, { unfurl_media: false }]) {
      const error = await refused<SlackError>(() => slack.chat.postMessage({ channel, text, ...more }));
      expect(error.code).toBe(ErrorCode.PlatformError);
      expect(error.message).toMatch(WORDS.condition);
    }
    expect(world.gate.seen.length).toBe(before);
    const posted = await slack.chat.postMessage({ channel, text, unfurl_links: false, unfurl_media: false });
    expect(posted.message?.text).toBe(text);
  });

  test('an error of the service itself stays what it is', async () => {
    const error = await refused<SlackError>(() => client(token).conversations.history({ channel: 'C999999999' }));
    expect(error.code).toBe(ErrorCode.PlatformError);
    expect(error.data?.error).toBe('channel_not_found');
  });

  test('a call for which the token holds no capability is a platform error that names the capability', async () => {
    const error = await refused<SlackError>(() => client(token).users.info({ user: 'U000000001' }));
    expect(error.code).toBe(ErrorCode.PlatformError);
    expect(error.message).toContain('capability_missing');
    expect(error.message).toMatch(WORDS.missing);
    expect(error.message).toContain('slack:read_user');
  });

  test('a direct message is refused with the condition', async () => {
    const error = await refused<SlackError>(() =>
      client(token).chat.postMessage({ channel: 'D000000001', text: 'psst' }),
    );
    expect(error.code).toBe(ErrorCode.PlatformError);
    expect(error.message).toMatch(WORDS.condition);
  });

  test('with the retries it comes with (half an hour of them), a denial still surfaces at once and is asked for once', async () => {
    const before = (await world.edge.audit({ event: 'call.denied' })).length;
    const asShipped = new WebClient(token, { slackApiUrl: `${world.edge.proxy('slack')}/api/`, logger: silent });
    const error = await refused<SlackError>(() => asShipped.users.info({ user: 'U000000001' }), 5_000);
    expect(error.code).toBe(ErrorCode.PlatformError);
    expect((await world.edge.audit({ event: 'call.denied' })).length).toBe(before + 1);
  });

  test('an expired token is a platform error "invalid_auth"', async () => {
    const expired = await world.edge.expired('herald', ['slack:list_channels']);
    const error = await refused<SlackError>(() => client(expired).conversations.list());
    expect(error.code).toBe(ErrorCode.PlatformError);
    expect(error.data?.error).toMatch(/^invalid_auth/);
    expect(error.message).toMatch(WORDS.expired);
  });

  test('a call over the limit is a rate-limit error that says when to come back', async () => {
    const slack = client(await world.edge.mint('hasty', [`${world.tight}:list_channels`]), { service: world.tight });
    await slack.conversations.list();
    const error = await refused<SlackError>(() => slack.conversations.list());
    // The client words this one itself, and shows no more of an answer 429 than its Retry-After.
    expect(error.code).toBe(ErrorCode.RateLimitedError);
    expect(error.retryAfter).toBeGreaterThan(0);
    expect(error.message).toContain(String(error.retryAfter));
  });

  promisesKept(
    () => world,
    () => [KEY],
  );
});
