import { hash } from 'node:crypto';
import type { AuditRow } from './event.ts';

/** `prevHash` of a ledger's first row, and `hash` of the head of an empty one. */
export const GENESIS_HASH = '0'.repeat(64);

/** The first element of every canonical row; a change of columns changes it. */
export const CANONICAL_VERSION = 'keywarden.audit.1';

/** The columns in the order in which they are hashed. `prevHash` enters as bytes before them, `hash` is the result. */
export const CANONICAL_COLUMNS = [
  'ledger',
  'seq',
  'at',
  'event',
  'requestId',
  'agent',
  'session',
  'tokenId',
  'capability',
  'service',
  'method',
  'path',
  'queryNames',
  'decision',
  'reason',
  'status',
  'requestBytes',
  'responseBytes',
  'durationMs',
  'redactions',
  'requestHash',
  'policyHash',
  'operator',
  'detail',
] as const satisfies readonly (keyof AuditRow)[];

/** A row before it is linked: everything but `prevHash` and `hash`. */
export type UnlinkedRow = Omit<AuditRow, 'prevHash' | 'hash'>;

const encoder = new TextEncoder();

/** The text that is hashed: a JSON array of the version and all columns in fixed order, without white space. */
export const canonicalRow = (row: UnlinkedRow): string => canonicalRowAt(row.ledger, row.seq, row.at, row);

/** {@link canonicalRow} of a row that has no place yet, given its place: no object is made of the two. */
export function canonicalRowAt(
  ledger: string,
  seq: number,
  at: number,
  row: Omit<UnlinkedRow, 'ledger' | 'seq' | 'at'>,
): string {
  return JSON.stringify([
    CANONICAL_VERSION,
    ledger,
    seq,
    at,
    row.event,
    row.requestId,
    row.agent,
    row.session,
    row.tokenId,
    row.capability,
    row.service,
    row.method,
    row.path,
    row.queryNames,
    row.decision,
    row.reason,
    row.status,
    row.requestBytes,
    row.responseBytes,
    row.durationMs,
    row.redactions,
    row.requestHash,
    row.policyHash,
    row.operator,
    row.detail,
  ]);
}

/** Used again for each row: two calls into the runtime a row, and nothing to collect. */
let linkBytes = new Uint8Array(8_192);

/** SHA-256(prevHash bytes ‖ UTF-8 canonical row), hex. `prevHash` must be 64 hex digits. */
export function linkHash(prevHash: string, canonical: string): string {
  const needed = 32 + 3 * canonical.length;
  if (linkBytes.length < needed) linkBytes = new Uint8Array(2 * needed);
  for (let i = 0; i < 32; i += 1) {
    linkBytes[i] = (hexDigit(prevHash.charCodeAt(2 * i)) << 4) | hexDigit(prevHash.charCodeAt(2 * i + 1));
  }
  const { written } = encoder.encodeInto(canonical, linkBytes.subarray(32));
  return hash('sha256', linkBytes.subarray(0, 32 + written), 'hex');
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  throw new RangeError("no hex digit in a row's previous hash");
}
