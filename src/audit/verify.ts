import { compactVerify, createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet } from 'jose';
import type { ChainHead } from '../ledger/contract.ts';
import { type ChainProblem, type ChainVerifier, chainVerifier, describeProblem } from './chain.ts';
import type { AuditRow } from './event.ts';

/** What the offline verifier found. */
export interface ExportVerification {
  readonly ok: boolean;
  readonly rows: number;
  readonly ledgers: number;
  /** `verified`: signed by a key of the given JWKS; `unchecked`: no JWKS was given; `missing`: there is no checkpoint. */
  readonly checkpoint: 'verified' | 'unchecked' | 'missing' | 'bad';
  readonly problems: readonly { readonly ledger: string; readonly seq: number | null; readonly problem: string }[];
}

const MAX_PROBLEMS = 1000;

/**
 * Verifies an export (NDJSON) without the edge: every chain, and the signed checkpoint at its end, without which a cut
 * tail or a missing ledger cannot be noticed.
 *
 * @param lines One JSON text each; memory does not grow with their number, but for one state a ledger.
 * @param jwks  The edge's published keys; null leaves the checkpoint's signature unchecked, and says so.
 */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  jwks: JSONWebKeySet | null,
): Promise<ExportVerification> {
  const verifiers = new Map<string, ChainVerifier>();
  const problems: { ledger: string; seq: number | null; problem: string }[] = [];
  const tell = (found: readonly ChainProblem[]): void => {
    for (const p of found) problems.push({ ledger: p.ledger, seq: p.seq, problem: describeProblem(p) });
  };
  let rows = 0;
  let lineNumber = 0;
  let jws: string | null = null;
  for await (const line of lines) {
    lineNumber++;
    if (line.trim() === '') continue;
    const parsed = parseLine(line);
    if (parsed === null || jws !== null) {
      problems.push({
        ledger: '',
        seq: null,
        problem: `line ${lineNumber}: ${parsed === null ? 'is neither a row nor a checkpoint' : 'stands after the checkpoint'}`,
      });
    } else if (typeof parsed === 'string') jws = parsed;
    else {
      rows++;
      let verifier = verifiers.get(parsed.ledger);
      if (verifier === undefined) {
        verifier = chainVerifier(parsed.ledger);
        verifiers.set(parsed.ledger, verifier);
      }
      tell(verifier.take(parsed));
    }
    if (problems.length > MAX_PROBLEMS) break;
  }

  const { state, heads, counted } = await readCheckpoint(jws, jwks);
  if (state === 'missing')
    problems.push({ ledger: '', seq: null, problem: 'there is no checkpoint: the end of the export is cut off' });
  if (state === 'bad')
    problems.push({ ledger: '', seq: null, problem: 'the checkpoint is not signed by a key of this edge' });
  const expected = new Map(heads.map((head) => [head.ledger, head]));
  for (const [ledger, verifier] of verifiers) {
    const head = expected.get(ledger) ?? null;
    if (state !== 'missing' && head === null) tell([{ kind: 'ledger_unknown', ledger, seq: 1 }]);
    tell(verifier.finish(head));
  }
  for (const head of heads) {
    if (!verifiers.has(head.ledger)) tell(chainVerifier(head.ledger, head).finish(head));
  }
  if (counted !== null && counted !== rows && problems.length === 0) {
    problems.push({ ledger: '', seq: null, problem: `the checkpoint counts ${counted} rows, the export has ${rows}` });
  }
  return {
    ok: problems.length === 0,
    rows,
    ledgers: verifiers.size,
    checkpoint: state,
    problems: problems.slice(0, MAX_PROBLEMS),
  };
}

function parseLine(line: string): AuditRow | string | null {
  try {
    const value = JSON.parse(line) as Record<string, unknown>;
    if (value['type'] === 'checkpoint') return typeof value['jws'] === 'string' ? value['jws'] : null;
    return typeof value['ledger'] === 'string' && Number.isSafeInteger(value['seq'])
      ? (value as unknown as AuditRow)
      : null;
  } catch {
    return null;
  }
}

async function readCheckpoint(
  jws: string | null,
  jwks: JSONWebKeySet | null,
): Promise<{ state: ExportVerification['checkpoint']; heads: readonly ChainHead[]; counted: number | null }> {
  if (jws === null) return { state: 'missing', heads: [], counted: null };
  try {
    let payload: Uint8Array;
    if (jwks === null) payload = Uint8Array.from(atob(base64(jws.split('.')[1] ?? '')), (c) => c.charCodeAt(0));
    else {
      if (decodeProtectedHeader(jws).typ !== 'keywarden-checkpoint+jwt') throw new Error('type');
      payload = (await compactVerify(jws, createLocalJWKSet(jwks), { algorithms: ['EdDSA', 'Ed25519'] })).payload;
    }
    const { heads, rows } = JSON.parse(new TextDecoder().decode(payload)) as { heads: ChainHead[]; rows: number };
    return { state: jwks === null ? 'unchecked' : 'verified', heads, counted: rows };
  } catch {
    return { state: 'bad', heads: [], counted: null };
  }
}

const base64 = (base64url: string): string => base64url.replaceAll('-', '+').replaceAll('_', '/');
