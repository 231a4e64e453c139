import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import Stripe from 'stripe';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApprovalJson, ApprovalListResponse } from '../../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../../support/edge.ts';
import { sleep, until } from '../../support/process.ts';
import { shippedPolicy } from '../../support/shipped.ts';
import { json, startUpstream, type Upstream } from '../../support/upstream.ts';

/** The vendors' own clients, with the retries that they ship with, meet a call that waits for a person. */

let edge: TestEdge;
let upstream: Upstream;

beforeAll(async () => {
  upstream = await startUpstream((req, res, seen) => {
    const answers: Record<string, object> = {
      '/v1/refunds': { id: 're_1', object: 'refund', amount: 2000, status: 'succeeded' },
      '/v1/responses': { id: 'resp_1', object: 'response', output: [] },
      '/v1/messages': { id: 'msg_1', type: 'message', role: 'assistant', content: [] },
    };
    return json(answers[seen.target] ?? {})(req, res, seen);
  });
  const plain = (service: string, path: string): string => `service: ${service}
origin: ${upstream.origin}
credential: { scheme: ${service === 'openai' ? 'bearer' : 'header, header: x-api-key'}, secret: MODEL_KEY }
errors: ${service}
capabilities:
  ask: { title: Ask the model, allow: POST ${path}, approval: required }
`;
  edge = await startTestEdge({
    policies: {
      'stripe.yaml': shippedPolicy('stripe', { origin: upstream.origin }),
      'openai.yaml': plain('openai', '/v1/responses'),
      'anthropic.yaml': plain('anthropic', '/v1/messages'),
    },
    vars: { STRIPE_KEY: 'sk_test_approvals_0123456789', MODEL_KEY: 'model-key-0123456789abcdef' },
  });
});
afterAll(async () => {
  await edge?.stop();
  await upstream?.stop();
});

const pending = async (): Promise<ApprovalJson[]> =>
  ((await (await edge.operate('/v1/approvals?state=pending')).json()) as ApprovalListResponse).approvals;
const approveAll = async (): Promise<void> => {
  for (const { id } of await pending())
    expect((await edge.operate(`/v1/approvals/${id}/approve`, { method: 'POST' })).status).toBe(200);
};
/** Sends what the client sends, with the time that it is willing to wait; counts the attempts. */
const counted = (attempts: { count: number }, wait: number, path = '') =>
  (async (url: string | URL | Request, init?: RequestInit) => {
    attempts.count += 1;
    const target = new URL(String(url));
    target.pathname = path + target.pathname;
    const headers = new Headers(init?.headers);
    headers.set('prefer', `wait=${wait}`);
    return fetch(target, { ...init, headers });
  }) as typeof fetch;

const stripe = (token: string, attempts: { count: number }, wait: number): Stripe => {
  const base = new URL(edge.proxy('stripe'));
  return new Stripe(token, {
    protocol: 'http',
    host: base.hostname,
    port: base.port,
    httpClient: Stripe.createFetchHttpClient(counted(attempts, wait, base.pathname)),
  });
};
const REFUND = { charge: 'ch_1', amount: 2000 };

describe('stripe: a refund above the bound of the policy that ships', () => {
  it('is its own error with our words, tried once; sent again after the yes it goes through once', async () => {
    const token = await edge.mint('support', ['stripe:refund']);
    const attempts = { count: 0 };
    const client = stripe(token, attempts, 0);
    const error = await client.refunds.create(REFUND).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Stripe.errors.StripePermissionError);
    expect((error as Error).message).toContain("needs a person's approval");
    expect((error as { code: string }).code).toBe('approval_pending');
    expect(attempts.count).toBe(1);
    expect(upstream.seen).toHaveLength(0);

    await approveAll();
    // Another idempotency key, another telemetry field: the same request all the same.
    expect(await client.refunds.create(REFUND)).toMatchObject({ id: 're_1' });
    expect(upstream.seen).toHaveLength(1);
    const again = await client.refunds.create(REFUND).catch((e: unknown) => e);
    expect((again as { code: string }).code).toBe('approval_pending');
    const larger = await client.refunds.create({ ...REFUND, amount: 2001 }).catch((e: unknown) => e);
    expect((larger as { code: string }).code).toBe('approval_pending');
    expect(upstream.seen).toHaveLength(1);
    for (const { id } of await pending()) await edge.operate(`/v1/approvals/${id}/deny`, { method: 'POST' });
  });

  it('held, it comes back as if nothing had happened', async () => {
    upstream.forget();
    const token = await edge.mint('support', ['stripe:refund']);
    const call = stripe(token, { count: 0 }, 20).refunds.create({ ...REFUND, amount: 3000 });
    await until('the question', async () => (await pending()).length === 1);
    await sleep(100);
    expect(upstream.seen).toHaveLength(0);
    const [question] = await pending();
    expect(question).toMatchObject({ agent_id: 'support', title: 'Refund at most 50.00 of a payment' });
    await approveAll();
    expect(await call).toMatchObject({ id: 're_1' });
    expect(upstream.seen).toHaveLength(1);
  });
});

describe('openai and anthropic', () => {
  it('openai: PermissionDeniedError with our words, tried once', async () => {
    upstream.forget();
    const token = await edge.mint('coder', ['openai:ask']);
    const attempts = { count: 0 };
    const client = new OpenAI({
      apiKey: token,
      baseURL: `${edge.proxy('openai')}/v1`,
      fetch: counted(attempts, 0),
    });
    const ask = () => client.responses.create({ model: 'gpt-5', input: 'hello' });
    const error = await ask().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect((error as Error).message).toContain("needs a person's approval");
    expect((error as { code: string }).code).toBe('approval_pending');
    expect(attempts.count).toBe(1);
    await approveAll();
    expect(await ask()).toMatchObject({ id: 'resp_1' });
    expect(upstream.seen).toHaveLength(1);
  });

  it('anthropic: PermissionDeniedError with our words, tried once', async () => {
    upstream.forget();
    const token = await edge.mint('coder', ['anthropic:ask']);
    const attempts = { count: 0 };
    const client = new Anthropic({ apiKey: token, baseURL: edge.proxy('anthropic'), fetch: counted(attempts, 0) });
    const ask = () =>
      client.messages.create({ model: 'claude', max_tokens: 8, messages: [{ role: 'user', content: 'hello' }] });
    const error = await ask().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Anthropic.PermissionDeniedError);
    expect((error as Error).message).toContain("needs a person's approval");
    expect(attempts.count).toBe(1);
    await approveAll();
    expect(await ask()).toMatchObject({ id: 'msg_1' });
    expect(upstream.seen).toHaveLength(1);
  });

  it('a flood is no reason to try again, either', async () => {
    const token = await edge.mint('flooder', ['openai:ask']);
    const attempts = { count: 0 };
    const client = new OpenAI({ apiKey: token, baseURL: `${edge.proxy('openai')}/v1`, fetch: counted(attempts, 0) });
    const errors: unknown[] = [];
    for (let i = 0; i < 21; i++)
      errors.push(await client.responses.create({ model: 'gpt-5', input: `hello ${i}` }).catch((e: unknown) => e));
    expect(errors.at(-1)).toBeInstanceOf(OpenAI.RateLimitError);
    expect((errors.at(-1) as { code: string }).code).toBe('approval_flood');
    expect(attempts.count).toBe(21);
  });
});
