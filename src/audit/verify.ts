import type { JSONWebKeySet } from 'jose';
import { type ChainProblem, describeProblem } from './chain-problem.ts';
import { type ChainVerifier, chainVerifier } from './chain-verifier.ts';
import { type ExportLine, readExportLine } from './export-line.ts';
import { NO_CHECKPOINT, type ReadCheckpoint, readCheckpoint } from './read-checkpoint.ts';

/** What is wrong with an export, and where. */
export interface ExportProblem {
  /** From 1; null for what is not there. */
  readonly line: number | null;
  readonly ledger: string | null;
  readonly seq: number | null;
  readonly problem: string;
}

/** What the offline verifier found. */
export interface ExportVerification {
  readonly ok: boolean;
  readonly rows: number;
  readonly ledgers: number;
  /** `verified`: signed by a key of the given JWKS; `unchecked`: no JWKS was given; `missing`: there is no checkpoint. */
  readonly checkpoint: ReadCheckpoint['state'];
  /** Who made the checkpoint and when (RFC 3339), by its own words: an older export is sound, too. */
  readonly issuer: string | null;
  readonly issued_at: string | null;
  readonly problems: readonly ExportProblem[];
}

/** A line as it was read, without its end, or why it could not be. */
export type LineRead = string | { readonly unreadable: string };

const MAX_PROBLEMS = 1000;

/**
 * Verifies an export (NDJSON) without the edge: every line, every chain, and the signed checkpoint at its end, without
 * which a cut tail or a missing ledger cannot be noticed.
 *
 * @param lines Memory does not grow with their number, but for one state a ledger.
 * @param jwks  The edge's published keys; null leaves the checkpoint's signature unchecked, and says so.
 */
export async function verifyExport(
  lines: AsyncIterable<LineRead> | Iterable<LineRead>,
  jwks: JSONWebKeySet | null,
): Promise<ExportVerification> {
  const verifiers = new Map<string, ChainVerifier>();
  const problems = problemList();
  let rows = 0;
  let line = 0;
  let sealed: { jws: string; line: number } | null = null;
  for await (const one of lines) {
    line++;
    // Nobody takes an empty line for a record.
    if (one === '') continue;
    if (sealed !== null) {
      problems.tell(line, 'stands after the checkpoint');
      continue;
    }
    const read: ExportLine =
      typeof one === 'string' ? readExportLine(one) : { row: null, jws: null, problems: [one.unreadable] };
    for (const problem of read.problems) problems.tell(line, problem);
    if (read.jws !== null) sealed = { jws: read.jws, line };
    if (read.row === null) continue;
    rows++;
    let verifier = verifiers.get(read.row.ledger);
    if (verifier === undefined) {
      verifier = chainVerifier(read.row.ledger);
      verifiers.set(read.row.ledger, verifier);
    }
    const { seq } = read.row;
    for (const found of verifier.take(read.row)) problems.tellChain(found.seq === seq ? line : null, found);
  }

  const seal = sealed === null ? NO_CHECKPOINT : await readCheckpoint(sealed.jws, jwks);
  if (seal.problem !== null) problems.tell(sealed?.line ?? null, seal.problem);
  const heads = seal.heads ?? [];
  const expected = new Map(heads.map((head) => [head.ledger, head]));
  for (const [ledger, verifier] of verifiers) {
    const head = expected.get(ledger) ?? null;
    if (seal.heads !== null && head === null) problems.tellChain(null, { kind: 'ledger_unknown', ledger, seq: 1 });
    for (const found of verifier.finish(head)) problems.tellChain(null, found);
  }
  for (const head of heads) {
    if (verifiers.has(head.ledger)) continue;
    for (const found of chainVerifier(head.ledger, head).finish(head)) problems.tellChain(null, found);
  }
  if (seal.rows !== null && seal.rows !== rows && problems.none())
    problems.tell(
      null,
      `the checkpoint counts ${seal.rows} ${seal.rows === 1 ? 'row' : 'rows'}, the export has ${rows}`,
    );
  return {
    ok: problems.none(),
    rows,
    ledgers: verifiers.size,
    checkpoint: seal.state,
    issuer: seal.issuer,
    issued_at: seal.issuedAt,
    problems: problems.all(),
  };
}

/** Keeps the first problems, and counts them all. */
function problemList() {
  const kept: ExportProblem[] = [];
  let count = 0;
  const keep = (problem: ExportProblem): void => {
    count++;
    if (count <= MAX_PROBLEMS) kept.push(problem);
  };
  return {
    tell: (line: number | null, problem: string): void => keep({ line, ledger: null, seq: null, problem }),
    tellChain: (line: number | null, found: ChainProblem): void =>
      keep({ line, ledger: found.ledger, seq: found.seq, problem: describeProblem(found) }),
    none: (): boolean => count === 0,
    all(): ExportProblem[] {
      if (count <= MAX_PROBLEMS) return kept;
      return [...kept, { line: null, ledger: null, seq: null, problem: `${count - MAX_PROBLEMS} more problems` }];
    },
  };
}
