import { reset } from 'cloudflare:test';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { admit } from '../../../src/pipeline/admit.ts';
import { ask, decide, pending, stateOf } from '../../support/ledger-desk.ts';
import { env, migrate } from '../../support/ledger-world.ts';

beforeEach(migrate);
afterEach(reset);

/** A call that comes to the ledger with a yes of the desk, and all that it told the desk of that. */
async function used(tells: boolean): Promise<string> {
  const answer = await ask();
  if (answer.kind !== 'granted') throw new Error(answer.kind);
  const told: Promise<unknown>[] = [];
  const call = {
    env: tells ? env : { ...env, APPROVALS: { idFromName: () => null, get: () => ({ used: async () => {} }) } },
    ctx: { waitUntil: (telling: Promise<unknown>) => void told.push(telling) },
    requestId: crypto.randomUUID(),
    request: new Request('https://edge.example/proxy/bank/v1/x'),
    service: 'bank',
    rawPath: '/v1/x',
    query: '',
  };
  const principal = { agent: 'agent-1', session: 'session-1', tokenId: 'token-1', issuedAtMs: 1e6, expiresAtMs: 9e15 };
  const authorized = { call, principal, capability: { name: 'bank:pay', limit: null }, access: { path: '/v1/x' } };
  const edge = { bundle: { hash: 'p', agents: { source: 'absent', grants: [] } }, dev: true };
  const admitted = await admit({ authorized, grant: answer.grant } as never, edge as never);
  await Promise.all(told);
  return admitted.ok ? 'admitted' : admitted.error.reason.kind;
}

it('the desk hears of a use', async () => {
  const id = await pending();
  await decide(id);
  expect(await used(true)).toBe('admitted');
  expect(await stateOf(id)).toBe('used');
});

it('a yes of whose use the desk did not hear is no yes any more once the ledger has refused it: the next call asks anew', async () => {
  const id = await pending();
  await decide(id);
  expect(await used(false)).toBe('admitted');
  expect(await stateOf(id)).toBe('approved');
  expect(await used(true)).toBe('approval_used');
  expect(await stateOf(id)).toBe('used');
  expect((await ask()).kind).toBe('pending');
});
