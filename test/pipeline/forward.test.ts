import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fault, unsignable } from '../../src/fault.ts';
import type { Injected } from '../../src/pipeline/call.ts';
import { forward } from '../../src/pipeline/forward.ts';
import { sleep } from '../support/process.ts';
import { json, startUpstream, type Upstream } from '../support/upstream.ts';

let upstream: Upstream;
beforeAll(async () => {
  upstream = await startUpstream(json({ ok: true }));
});
afterAll(() => upstream?.stop());

/** The step with a client that is there, or has gone while its intent was recorded. */
const forwarded = (
  signal: AbortSignal,
  {
    method = 'GET',
    origin = upstream.origin,
    bodyFault = () => null,
  }: { method?: string; origin?: string; bodyFault?: () => Fault | null } = {},
) =>
  forward({
    request: {
      method,
      origin,
      path: '/v1/balance',
      query: '',
      fields: new Map([['authorization', 'Bearer the credential']]),
      body: null,
      bodyLength: null,
      bodyFault,
    },
    admitted: { authorized: { call: { request: { signal } }, policy: { timeoutMs: 5_000 } } },
    sent: () => undefined,
  } as unknown as Injected);

it('of a client that has gone before it nothing is sent, and no credential either', async () => {
  expect(await forwarded(AbortSignal.abort())).toMatchObject({
    ok: false,
    error: { code: 'client_cancelled', detail: 'before it was sent' },
  });
  expect(upstream.seen).toHaveLength(0);
  const there = await forwarded(new AbortController().signal);
  if (!there.ok) throw new Error(there.error.detail);
  there.value.deadline.clear();
  expect([await there.value.response.json(), upstream.seen.length]).toEqual([{ ok: true }, 1]);
});

it.each([
  ['GET', true],
  ['HEAD', true],
  ['OPTIONS', true],
  ['PUT', true],
  ['DELETE', true],
  ['POST', false],
  ['PATCH', false],
])('whether a %s that found nobody may be sent again: %s (RFC 9110 §9.2.2)', async (method, retryable) => {
  const { signal } = new AbortController();
  expect(await forwarded(signal, { method, origin: 'http://127.0.0.1:1' })).toMatchObject({
    ok: false,
    error: { code: 'upstream_unreachable', retryable },
  });
});

it('no answer to a request that never became whole is passed on, whether it came or not', async () => {
  const { signal } = new AbortController();
  const bodyFault = (): Fault => unsignable('body_malformed', 'cut off');
  for (const origin of [upstream.origin, 'http://127.0.0.1:1'])
    expect(await forwarded(signal, { origin, bodyFault })).toEqual({ ok: false, error: bodyFault() });
});

it('an answer that cannot be passed on is read no further: the upstream sees the end of it', async () => {
  const closed = Promise.withResolvers<string>();
  upstream.handle((_, response) => {
    response.on('close', () => closed.resolve('closed'));
    response.writeHead(200).write('the first of many');
  });
  const bodyFault = (): Fault => unsignable('body_malformed', 'cut off');
  expect((await forwarded(new AbortController().signal, { bodyFault })).ok).toBe(false);
  // Long before the policy's timeout.
  expect(await Promise.race([closed.promise, sleep(2_000)])).toBe('closed');
});
