import { sha256Hex } from '../lib/digest.ts';

/** Whose ledger it is. */
export type LedgerKey =
  | { readonly kind: 'agent'; readonly agent: string }
  /** Calls that came without a valid token. */
  | { readonly kind: 'anonymous' }
  /** What operators did, and what was refused to those who would be. */
  | { readonly kind: 'operators' };

export type LedgerKind = LedgerKey['kind'];

/**
 * The name of a ledger's Durable Object: a digest of the structured key, so that no agent id, however spelled, can
 * collide with another or with the two ledgers that are no agent's. 64 hex digits; also the `ledger` column of the rows.
 */
export function ledgerNameOf(key: LedgerKey): string {
  const text = key.kind === 'agent' ? `agent:${key.agent}` : key.kind;
  let name = names.get(text);
  if (name === undefined) {
    if (names.size >= MAX_NAMES) names.clear();
    name = digestOf(key);
    names.set(text, name);
  }
  return name;
}

/** Names asked for in this isolate; a digest a call adds up. */
const names = new Map<string, string>();
const MAX_NAMES = 10_000;

function digestOf(key: LedgerKey): string {
  return sha256Hex(JSON.stringify(['keywarden.ledger.1', key.kind, key.kind === 'agent' ? key.agent : null]));
}
