import { canonicalRow, GENESIS_HASH, linkHash } from '../../src/audit/chain.ts';
import type { AuditRow } from '../../src/audit/event.ts';
import type { ChainHead } from '../../src/ledger/contract.ts';

/** A correct chain of `count` rows, made by the published rule alone. */
export function chainOf(ledger: string, count: number): AuditRow[] {
  const rows: AuditRow[] = [];
  for (let seq = 1; seq <= count; seq++)
    rows.push(linked({ ...plainRow(ledger, seq), prevHash: rows.at(-1)?.hash ?? GENESIS_HASH }));
  return rows;
}

/** The row with the hash that its content gives. */
export function linked(row: AuditRow): AuditRow {
  return { ...row, hash: linkHash(row.prevHash, canonicalRow(row)) };
}

export function headOf(rows: readonly AuditRow[], ledger: string): ChainHead {
  const last = rows.at(-1);
  return { ledger, seq: last?.seq ?? 0, hash: last?.hash ?? GENESIS_HASH };
}

function plainRow(ledger: string, seq: number): AuditRow {
  return {
    ledger,
    seq,
    at: 1_800_000_000_000 + seq,
    event: 'call.admitted',
    requestId: `request-${seq}`,
    agent: 'agent-1',
    session: 's',
    tokenId: 't',
    capability: 'stripe:read_balance',
    service: 'stripe',
    method: 'GET',
    path: '/v1/balance',
    queryNames: 'limit',
    decision: 'allow',
    reason: 'none',
    status: 200,
    requestBytes: 1,
    responseBytes: 2,
    durationMs: 3,
    redactions: 0,
    requestHash: 'a'.repeat(64),
    policyHash: 'b'.repeat(64),
    operator: 'op',
    detail: '{}',
    prevHash: GENESIS_HASH,
    hash: '',
  };
}
