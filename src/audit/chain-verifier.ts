import type { ChainCut, ChainHead } from '../ledger/contract.ts';
import { canonicalRow, GENESIS_HASH, linkHash } from './chain.ts';
import type { ChainProblem } from './chain-problem.ts';
import type { AuditRow } from './event.ts';

/** Checks the rows of one ledger one after another, in memory that does not grow with their number. */
export interface ChainVerifier {
  readonly ledger: string;
  /** Problems that can be told already. */
  take(row: AuditRow): ChainProblem[];
  /** The rest, measured against the head; `null` when the head is not known, so that a cut tail cannot be noticed. */
  finish(head: ChainHead | null): ChainProblem[];
}

interface Gap {
  seq: number;
  lastSeq: number;
}

/** More gaps than this are told at once as missing, without waiting for a late row to fill them. */
const MAX_GAPS = 256;

/**
 * @param ledger  Rows of another ledger are not accepted: route them first.
 * @param head    When given, a row numbered beyond it is `inserted`, and takes no part in the chain.
 */
export function chainVerifier(ledger: string, head: ChainHead | null = null): ChainVerifier {
  let last = { seq: 0, hash: GENESIS_HASH, at: 0, intact: true };
  let gaps: Gap[] = [];
  let first: AuditRow | null = null;
  const left = head?.cut === undefined ? null : leftBeforeCut(head.cut);

  const late = (row: AuditRow): ChainProblem => {
    const gap = gaps.find((candidate) => row.seq >= candidate.seq && row.seq <= candidate.lastSeq);
    if (gap === undefined) return { kind: 'duplicated', ledger, seq: row.seq };
    gaps = gaps.flatMap((candidate) => (candidate === gap ? without(candidate, row.seq) : [candidate]));
    return { kind: 'reordered', ledger, seq: row.seq };
  };

  return {
    ledger,
    take(row) {
      const problems: ChainProblem[] = [];
      if (head !== null && row.seq > head.seq) return [{ kind: 'inserted', ledger, seq: row.seq }];
      if (left !== null && row.seq <= left.cutSeq) {
        left.take(row);
        return [];
      }
      first ??= row;
      const intact = row.ledger === ledger && isIntact(row);
      if (!intact) problems.push({ kind: 'altered', ledger, seq: row.seq });
      if (row.seq <= last.seq) return [...problems, late(row)];
      if (row.seq > last.seq + 1) {
        gaps.push({ seq: last.seq + 1, lastSeq: row.seq - 1 });
        if (gaps.length > MAX_GAPS) problems.push(missing(ledger, gaps.shift() as Gap));
      } else if (row.prevHash !== last.hash && intact && last.intact) {
        // An altered neighbour is told already; its broken link says nothing new.
        problems.push({ kind: 'replaced', ledger, seq: last.seq });
      }
      if (row.at < last.at && intact && last.intact) problems.push({ kind: 'time_reversed', ledger, seq: row.seq });
      last = { seq: row.seq, hash: row.hash, at: row.at, intact };
      return problems;
    },
    finish(end) {
      const problems: ChainProblem[] = [];
      const cut = end?.cut;
      if (cut !== undefined) {
        // A head that became known only now is an export's, and an export begins after the cut.
        const planted = left === null ? (first !== null && first.seq <= cut.seq ? first.seq : null) : left.planted();
        if (planted !== null) problems.push({ kind: 'planted', ledger, seq: planted, cutSeq: cut.seq });
        // What stands before the cut is not missing; but what follows must be linked to it.
        if (last.seq < cut.seq) last = { seq: cut.seq, hash: cut.hash, at: 0, intact: true };
        gaps = gaps.flatMap((gap) => {
          if (gap.lastSeq <= cut.seq) return [];
          return [{ seq: Math.max(gap.seq, cut.seq + 1), lastSeq: gap.lastSeq }];
        });
        if (first?.seq === cut.seq + 1 && first.prevHash !== cut.hash && isIntact(first))
          problems.push({ kind: 'replaced', ledger, seq: cut.seq });
      }
      problems.push(...gaps.map((gap) => missing(ledger, gap)));
      if (end === null) return problems;
      if (last.seq < end.seq) problems.push({ kind: 'missing', ledger, seq: last.seq + 1, lastSeq: end.seq });
      else if (last.seq > end.seq) {
        // The head became known only now, so that `take` could not tell.
        problems.push({ kind: 'inserted', ledger, seq: end.seq + 1 });
      } else if (last.seq === end.seq && last.hash !== end.hash && last.intact) {
        problems.push({ kind: 'replaced', ledger, seq: last.seq });
      }
      return problems;
    },
  };
}

/**
 * Verifies the rows of one ledger, in chain order, against its head. An empty list means: nothing was altered, dropped,
 * reordered, inserted, duplicated or cut off.
 */
export function verifyChain(rows: Iterable<AuditRow>, head: ChainHead): ChainProblem[] {
  const verifier = chainVerifier(head.ledger, head);
  const problems: ChainProblem[] = [];
  for (const row of rows) problems.push(...verifier.take(row));
  problems.push(...verifier.finish(head));
  return problems;
}

/**
 * Rows that a removal left behind when it was interrupted; they go with the next one. Until then they are listed, so that
 * they must be the very rows: one piece of the chain whose last is the one at the cut.
 */
function leftBeforeCut(cut: ChainCut) {
  let first: number | null = null;
  let last = { seq: 0, hash: '' };
  let whole = true;
  return {
    cutSeq: cut.seq,
    take(row: AuditRow): void {
      if (!isIntact(row) || (first !== null && (row.seq !== last.seq + 1 || row.prevHash !== last.hash))) whole = false;
      first ??= row.seq;
      last = { seq: row.seq, hash: row.hash };
    },
    /** The number of the first row, when they are not what was removed. */
    planted: (): number | null => (whole && last.seq === cut.seq && last.hash === cut.hash ? null : first),
  };
}

function isIntact(row: AuditRow): boolean {
  if (!/^[0-9a-f]{64}$/.test(row.prevHash)) return false;
  return linkHash(row.prevHash, canonicalRow(row)) === row.hash;
}

function missing(ledger: string, gap: Gap): ChainProblem {
  return { kind: 'missing', ledger, seq: gap.seq, lastSeq: gap.lastSeq };
}

function without(gap: Gap, seq: number): Gap[] {
  return [
    { seq: gap.seq, lastSeq: seq - 1 },
    { seq: seq + 1, lastSeq: gap.lastSeq },
  ].filter((part) => part.seq <= part.lastSeq);
}
