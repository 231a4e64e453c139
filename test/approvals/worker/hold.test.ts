import { reset } from 'cloudflare:test';
import { afterEach, expect, it } from 'vitest';
import type { AskAnswer } from '../../../src/approvals/contract.ts';
import type { Waited } from '../../../src/approvals/waiting.ts';
import { revoke } from '../../../src/ledger/client.ts';
import { hold } from '../../../src/pipeline/hold.ts';
import { env } from '../../support/ledger-world.ts';

afterEach(reset);

const GRANT = { id: 'a1', uses: 1, goodForMs: 1000, asker: { session: null, tokenId: 't', issuedAtMs: 1 } };
const PENDING: AskAnswer = { kind: 'pending', id: 'a1' };

/** A call that is held at a desk which answers as said, in turn. */
async function held(
  asks: readonly AskAnswer[],
  waits: readonly (Waited | Error)[],
  { expiresAtMs = 9e15, onWait = () => {}, signal = new AbortController().signal } = {},
) {
  const after: (string | null)[] = [];
  const waited: number[] = [];
  const desk = {
    ask: async (ask: { after: string | null }) => asks[after.push(ask.after) - 1],
    wait: async (_: string, ms: number) => {
      onWait();
      const answer = waits[waited.push(ms) - 1];
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const authorized = {
    approval: {
      spec: { count: 1, ttlMs: 600_000, reviewers: null, when: null },
      operation: 'POST /v1/x',
      body: { bytes: new Uint8Array(), parsed: { ok: true, value: {} } },
    },
    call: {
      env: { ...env, APPROVALS: { idFromName: () => null, get: () => desk } },
      requestId: 'request-1',
      fields: new Map([['prefer', 'wait=120']]),
      request: new Request('https://edge.example/proxy/bank/v1/x', { signal }),
      publicOrigin: 'https://edge.example',
    },
    principal: { agent: 'agent-1', session: null, tokenId: 't', issuedAtMs: 1, expiresAtMs },
    capability: { name: 'bank:pay', title: 'Pay', description: '' },
    outgoing: { method: 'POST', origin: 'https://bank.example', path: '/v1/x', query: '', fields: new Map() },
    policy: { service: 'bank', title: 'Bank' },
  };
  const result = await hold(authorized as never, { bundle: { hash: 'p', services: {} } } as never);
  return { result: result.ok ? result.value.grant : result.error.reason, after, waited };
}

it('a call that waited says so when it asks again: another may have used the yes', async () => {
  const { result, after } = await held([PENDING, { kind: 'used', id: 'a1' }], ['approved']);
  expect(result).toEqual({ kind: 'approval_used', approval: 'a1' });
  expect(after).toEqual([null, 'a1']);
});

it('a long wait is several short ones, until there is a yes', async () => {
  const { result, waited } = await held(
    [PENDING, { kind: 'granted', grant: GRANT }],
    ['pending', 'pending', 'approved'],
  );
  expect(result).toEqual(GRANT);
  expect(waited).toEqual([10_000, 10_000, 10_000]);
});

it.each<[Waited, object]>([
  ['full', { kind: 'approval_pending' }],
  ['denied', { kind: 'approval_denied' }],
  ['expired', { kind: 'approval_expired' }],
  ['used', { kind: 'approval_used' }],
])('a wait that ends with "%s" asks nothing more', async (how, reason) => {
  const { result, after } = await held([PENDING], [how]);
  expect(result).toMatchObject(reason);
  expect(after).toEqual([null]);
});

it('a client that goes while it waits uses nothing: the yes that comes then is not asked for', async () => {
  const client = new AbortController();
  const { result, after } = await held([PENDING, { kind: 'granted', grant: GRANT }], ['pending', 'approved'], {
    signal: client.signal,
    onWait: () => client.abort(),
  });
  expect(result).toMatchObject({ kind: 'fault', code: 'client_cancelled' });
  expect(after).toEqual([null]);
});

it('a desk that breaks while a call waits is a fault, and no answer of anybody', async () => {
  const { result, after, waited } = await held([PENDING], ['pending', new Error('broken'), 'approved']);
  expect(result).toMatchObject({ kind: 'fault', code: 'approvals_unavailable' });
  expect([after, waited.length]).toEqual([[null], 2]);
});

it('a yes comes too late for a token that has ended', async () => {
  expect((await held([{ kind: 'granted', grant: GRANT }], [], { expiresAtMs: Date.now() - 1 })).result).toEqual({
    kind: 'token_expired',
  });
});

it('a revoked token asks nobody', async () => {
  await revoke(env, 'agent-1', { by: 'token', tokenId: 't', until: 9e15 });
  const { result, after } = await held([PENDING], []);
  expect(result).toEqual({ kind: 'token_revoked', by: 'token' });
  expect(after).toEqual([]);
});
