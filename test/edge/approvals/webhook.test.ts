import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../support/process.ts';
import { answer, json, startUpstream, type Upstream } from '../../support/upstream.ts';
import { ALL, BANK_KEY, startWorld, type World } from './world.ts';

const SECRET = 'webhook-secret-0123456789-0123456789-abcdef';
let world: World;
let slack: Upstream;
beforeAll(async () => {
  slack = await startUpstream(answer(200, 'ok'));
  world = await startWorld({
    vars: { KEYWARDEN_APPROVAL_WEBHOOK_URL: `${slack.origin}/services/T/B/x`, KEYWARDEN_WEBHOOK_SECRET: SECRET },
  });
});
afterAll(async () => {
  await world?.stop();
  await slack?.stop();
});

interface Message {
  readonly text: string;
  readonly blocks: readonly unknown[];
  readonly keywarden: { readonly approval_id: string; readonly link: string };
}
const messageFor = async (id: string): Promise<{ message: Message; index: number }> => {
  const find = () => slack.seen.findIndex((one) => one.body().includes(id));
  await until('the message', () => find() >= 0);
  return { message: JSON.parse(String(slack.seen[find()]?.body())) as Message, index: find() };
};
const linkIn = ({ keywarden }: Message): string => /\?link=([0-9a-f.-]+)$/.exec(keywarden.link)?.[1] ?? '';
const ask = async (agent: string, body: object, path = '/v1/payments') => {
  const token = await world.edge.mint(agent, ALL);
  return { token, id: (await world.send(token, path, body)).approval };
};
const codeOf = async (response: Response): Promise<string> => ((await response.json()) as { code: string }).code;

describe('the message', () => {
  it('is signed, is Slack’s, holds no secret and no markup of the agent’s', async () => {
    const { id } = await ask('messenger', {
      to: `<!channel> ${BANK_KEY}`,
      amount: 2000,
    });
    const { message, index } = await messageFor(id);
    const seen = slack.seen[index];
    const timestamp = seen?.headers['keywarden-timestamp'] ?? '';
    expect(Math.abs(Number(timestamp) * 1000 - Date.now())).toBeLessThan(60_000);
    const expected = createHmac('sha256', SECRET).update(`${timestamp}.${seen?.body()}`).digest('hex');
    expect(seen?.headers['keywarden-signature']).toBe(`v1=${expected}`);
    expect(message.text).toContain('Pay somebody');
    expect(message.blocks).toHaveLength(2);
    expect(message.keywarden.link).toContain(`/console/#/approvals/${id}?link=`);
    expect(String(seen?.body())).not.toContain(BANK_KEY);
    expect(String(seen?.body())).not.toContain('<!channel>');
  });

  it('comes once for joined questions, and again when the receiver is down', async () => {
    slack.handle(answer(500, 'down'));
    const { token, id } = await ask('retry', { to: 'r', amount: 2000 });
    await messageFor(id);
    await world.send(token, '/v1/payments', { to: 'r', amount: 2000 });
    slack.handle(answer(200, 'ok'));
    const count = () => slack.seen.filter((one) => one.body().includes(id)).length;
    await until('the second attempt', () => count() === 2, 10_000);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(count()).toBe(2);
  });
});

describe('the decision link', () => {
  it('decides nothing without a sign-in, is for one approval, and works once', async () => {
    const { id } = await ask('linked', { to: 'l', amount: 2000 }, '/v1/two');
    const other = await ask('linked-too', { to: 'l', amount: 2000 });
    const link = linkIn((await messageFor(id)).message);
    const bare = await fetch(`${world.edge.url}/v1/approvals/${id}/approve`, {
      method: 'POST',
      body: JSON.stringify({ link }),
    });
    expect(bare.status).toBe(401);
    expect(await codeOf(await world.decide('alice', other.id, 'approve', { link }))).toBe('link_invalid');
    expect(
      await codeOf(
        await world.decide('alice', id, 'approve', { link: `${link.slice(0, -1)}${link.endsWith('0') ? '1' : '0'}` }),
      ),
    ).toMatch(/link_invalid/);
    const said = await world.decide('alice', id, 'approve', { link });
    expect(await said.json()).toMatchObject({ state: 'pending', votes: [{ operator: 'alice', via: 'webhook' }] });
    expect(await codeOf(await world.decide('bob', id, 'approve', { link }))).toBe('link_invalid');
    expect(await (await world.decide('bob', id, 'approve', { via: 'console' })).json()).toMatchObject({
      state: 'approved',
      decided_via: 'console',
    });
    const rows = await world.edge.audit({ agent: 'linked', event: 'approval.approved' });
    expect(rows.map((row) => [row.operator, row.detail['via']]).sort()).toEqual([
      ['alice', 'webhook'],
      ['bob', 'console'],
    ]);
  });
});

it.each([
  ['no https', { KEYWARDEN_APPROVAL_WEBHOOK_URL: 'http://hooks.example/x', KEYWARDEN_WEBHOOK_SECRET: SECRET }],
  ['no secret', { KEYWARDEN_APPROVAL_WEBHOOK_URL: 'https://hooks.example/x' }],
  ['a short secret', { KEYWARDEN_APPROVAL_WEBHOOK_URL: 'https://hooks.example/x', KEYWARDEN_WEBHOOK_SECRET: 'short' }],
])('a webhook with %s: the edge refuses to serve, saying why (threat 27)', async (_, vars) => {
  const broken = await startWorld({ vars }).then(
    (one) => one.stop().then(() => ''),
    (error: Error) => error.message,
  );
  expect(broken).toMatch(/KEYWARDEN_(APPROVAL_WEBHOOK_URL|WEBHOOK_SECRET)/);
  expect(broken).not.toContain(SECRET);
});

it('an upstream still sees nothing of it', async () => {
  world.upstream.handle(json({ ok: true }));
  expect(world.upstream.seen).toEqual([]);
});
