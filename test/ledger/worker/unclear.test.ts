import { reset } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GrantedApproval } from '../../../src/approvals/contract.ts';
import { admit, record } from '../../../src/ledger/client.ts';
import type { LedgerEvents } from '../../../src/ledger/contract.ts';
import { type LedgerKey, ledgerNameOf } from '../../../src/ledger/name.ts';
import {
  callOf,
  env,
  events,
  ledgerOf,
  migrate,
  noteOf,
  perHour,
  refusedOf,
  stored,
  stubOf,
} from '../../support/ledger-world.ts';

beforeEach(migrate);
afterEach(reset);

/** The ledgers, whose answers get lost on the way: the call was decided all the same. `sent` are the attempts. */
function losing(errors: readonly object[]) {
  const sent: number[] = [];
  const get = (id: DurableObjectId) => ({
    admitText: async (text: string): Promise<string> => {
      const answer = await env.LEDGER.get(id).admitText(text);
      const error = errors[sent.push(JSON.parse(text).attempt) - 1];
      if (error !== undefined) throw Object.assign(new Error('lost'), error);
      return answer;
    },
    record: async (given: LedgerEvents) => {
      const answer = await env.LEDGER.get(id).record(given);
      const error = errors[sent.push(given.attempt) - 1];
      if (error !== undefined) throw Object.assign(new Error('lost'), error);
      return answer;
    },
  });
  return { sent, env: { LEDGER: { idFromName: env.LEDGER.idFromName.bind(env.LEDGER), get } as never } };
}
const LOST = { retryable: true };
const APPROVAL: GrantedApproval = {
  id: 'approval-1',
  uses: 1,
  goodForMs: 600_000,
  asker: { session: 'session-1', tokenId: 'token-1', issuedAtMs: 1_000_000 },
};

describe('a call whose answer was lost', () => {
  it('is sent again as a repetition, gets its answer, and is charged and recorded once', async () => {
    const lost = losing([LOST, LOST]);
    expect(await admit(lost.env, callOf({ limits: [perHour(3)] }))).toMatchObject({
      ok: true,
      value: { effect: 'admitted', limits: [{ remaining: 2 }] },
    });
    expect(lost.sent).toEqual([0, 1, 2]);
    expect((await ledgerOf().head()).seq).toBe(1);
  });

  it('goes through by the yes that it has used, once', async () => {
    const lost = losing([LOST]);
    expect(await admit(lost.env, callOf({ approval: APPROVAL }))).toMatchObject({ value: { effect: 'admitted' } });
    expect(await admit(env, callOf({ approval: APPROVAL }))).toMatchObject({
      value: { effect: 'denied', denial: { kind: 'approval_used' } },
    });
    await ledgerOf().flush();
    const rows = await stored();
    expect(rows.map((row) => row.event)).toEqual(['approval.used', 'call.admitted', 'call.denied']);
    expect(rows[0]).toMatchObject({
      request_id: rows[1]?.request_id,
      request_hash: 'a'.repeat(64),
      policy_hash: 'b'.repeat(64),
      detail: '{"approval":"approval-1","of":1}',
    });
  });

  it('is known by its own decision, and not by what else was noted of the request', async () => {
    const call = callOf({ denial: { kind: 'approval_pending', capability: 'bank:pay', approval: 'approval-1' } });
    const note = { ...noteOf(call.requestId, 'agent-1'), event: 'approval.requested' } as const;
    await ledgerOf().record({ attempt: 0, outcomes: [], refused: [], notes: [note] });
    for (const attempt of [0, 1])
      expect(await ledgerOf().admit({ ...call, attempt })).toMatchObject({ effect: 'denied', denial: call.denial });
    expect((await ledgerOf().head()).seq).toBe(2);
  });

  it.each<[string, object, number]>([
    ['three times at most', LOST, 3],
    ['not when the platform is overloaded', { retryable: true, overloaded: true }, 1],
    ['not when the platform does not say that it may be', {}, 1],
  ])('is sent again: %s', async (_, error, times) => {
    const lost = losing(Array.from({ length: 9 }, () => error));
    expect(await admit(lost.env, callOf())).toMatchObject({ ok: false, error: { code: 'ledger_unavailable' } });
    expect(lost.sent).toHaveLength(times);
  });
});

it.each<[string, LedgerKey, Partial<LedgerEvents>]>([
  ['a note', { kind: 'agent', agent: 'agent-1' }, { notes: [noteOf('r', 'agent-1')] }],
  ['a refused call', { kind: 'anonymous' }, { refused: [refusedOf('r')] }],
])('%s whose answer was lost is sent again as a repetition, and stands in the chain once', async (_, key, told) => {
  const lost = losing([LOST, LOST]);
  expect(await record(lost.env, key, told)).toEqual({ ok: true, value: null });
  expect(lost.sent).toEqual([0, 1, 2]);
  expect((await stubOf(ledgerNameOf(key)).head()).seq).toBe(1);
});

it('of two notes of one request, sent again with each other, each stands in the chain once', async () => {
  const [one, other] = [noteOf('r', 'agent-1'), { ...noteOf('r', 'agent-1'), event: 'token.revoked' } as const];
  await ledgerOf().record({ attempt: 0, outcomes: [], refused: [], notes: [one] });
  await ledgerOf().record({ attempt: 1, outcomes: [], refused: [], notes: [one, other] });
  await ledgerOf().flush();
  expect(await events()).toEqual(['token.minted', 'token.revoked']);
});

it('a repeated note is none that stands already because another request has one of its kind beside it', async () => {
  const revoked = (requestId: string) => ({ ...noteOf(requestId, 'agent-1'), event: 'token.revoked' }) as const;
  const notes = [noteOf('r', 'agent-1'), revoked('s')];
  await ledgerOf().record({ attempt: 0, outcomes: [], refused: [], notes });
  await ledgerOf().record({ attempt: 1, outcomes: [], refused: [], notes: [revoked('r')] });
  await ledgerOf().flush();
  expect(await events()).toEqual(['token.minted', 'token.revoked', 'token.revoked']);
});
