import { applyD1Migrations } from 'cloudflare:test';
import { env as untyped } from 'cloudflare:workers';
import type { CallOutcome } from '../../src/audit/event.ts';
import type { Env } from '../../src/env.ts';
import type { AdmitCall, LedgerNote, NamedLimit, RefusedCall } from '../../src/ledger/contract.ts';
import { ledgerNameOf } from '../../src/ledger/name.ts';

/** Real bindings: Durable Objects and D1 of the workerd that the tests run in. */
export const env = untyped as unknown as Env & { readonly TEST_MIGRATIONS: Parameters<typeof applyD1Migrations>[1] };

export const migrate = (): Promise<void> => applyD1Migrations(env.DB, env.TEST_MIGRATIONS);

/** D1 as it is when somebody forgot the migration, or broke it; `mendD1` brings it back, empty. */
export async function breakD1(): Promise<void> {
  const { results } = await env.DB.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND substr(name, 1, 4) <> '_cf_'",
  ).all<{ name: string }>();
  await env.DB.batch(results.map(({ name }) => env.DB.prepare(`DROP TABLE "${name}"`)));
}
export const mendD1 = migrate;

export const ledgerName = (agent = 'agent-1'): string => ledgerNameOf({ kind: 'agent', agent });
export const ledgerOf = (agent = 'agent-1') => stubOf(ledgerName(agent));
export const stubOf = (name: string) => env.LEDGER.get(env.LEDGER.idFromName(name));

export const oneAnHour: NamedLimit = { name: 'stripe:read_balance', spec: { count: 1, periodMs: 3_600_000, burst: 1 } };
export const perHour = (burst: number): NamedLimit => ({
  name: 'stripe:read_balance',
  spec: { count: 1, periodMs: 3_600_000, burst },
});

let counter = 0;
export function callOf(over: Partial<AdmitCall> & { agent?: string } = {}): AdmitCall {
  const { agent = 'agent-1', ...rest } = over;
  return {
    requestId: `request-${++counter}`,
    attempt: 0,
    denial: null,
    limits: [],
    outcomes: [],
    inFlight: 0,
    principal: { agent, session: 'session-1', tokenId: 'token-1', issuedAtMs: 1_000_000, expiresAtMs: 9e15 },
    call: {
      agent,
      session: 'session-1',
      tokenId: 'token-1',
      capability: 'stripe:read_balance',
      service: 'stripe',
      method: 'GET',
      path: '/v1/balance',
      queryNames: 'expand',
      requestHash: 'a'.repeat(64),
      policyHash: 'b'.repeat(64),
    },
    ...rest,
  };
}

export const outcomeOf = (requestId: string, over: Partial<CallOutcome> = {}): CallOutcome => ({
  requestId,
  event: 'call.completed',
  at: Date.now(),
  status: 200,
  reason: null,
  requestBytes: 0,
  responseBytes: 17,
  durationMs: 4,
  redactions: 0,
  ...over,
});

export const refusedOf = (requestId: string): RefusedCall => ({
  requestId,
  denial: { kind: 'token_missing' },
  call: { ...callOf().call, agent: null, session: null, tokenId: null },
});

export const noteOf = (requestId: string, agent: string | null = null): LedgerNote => ({
  event: 'token.minted',
  requestId,
  agent,
  session: null,
  tokenId: 'token-9',
  capability: null,
  service: null,
  operator: 'op',
  reason: null,
  detail: { ttlSeconds: 900 },
});

export interface StoredRow {
  readonly ledger: string;
  readonly seq: number;
  readonly at: number;
  readonly event: string;
  readonly request_id: string;
  readonly agent: string | null;
  readonly decision: string | null;
  readonly reason: string | null;
  readonly detail: string;
}

/** What D1 holds, in chain order. */
export async function stored(): Promise<StoredRow[]> {
  return (await env.DB.prepare('SELECT * FROM audit ORDER BY ledger, seq').all<StoredRow>()).results;
}
export const events = async (): Promise<string[]> => (await stored()).map((row) => row.event);

/** Its rows wait, D1 takes none, and it takes no more: as many as KEYWARDEN_LEDGER_MAX_WAITING_ROWS. */
export async function fillLedger(): Promise<void> {
  await ledgerOf().flush();
  await breakD1();
  const notes = Array.from({ length: 300 }, (_, i) => noteOf(`n${i}`, 'agent-1'));
  await ledgerOf().record({ attempt: 0, outcomes: [], refused: [], notes });
}
