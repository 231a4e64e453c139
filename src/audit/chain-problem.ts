/** What is wrong, and at which row of which ledger. */
export type ChainProblem =
  /** The row's content does not give its hash. */
  | { readonly kind: 'altered'; readonly ledger: string; readonly seq: number }
  /** Row `seq + 1` names another predecessor: row `seq` was replaced by one with a fitting hash of its own. */
  | { readonly kind: 'replaced'; readonly ledger: string; readonly seq: number }
  /** Rows `seq` to `lastSeq` are not there, although later ones are, or the head says they were. */
  | { readonly kind: 'missing'; readonly ledger: string; readonly seq: number; readonly lastSeq: number }
  /** The row stands after a later one. */
  | { readonly kind: 'reordered'; readonly ledger: string; readonly seq: number }
  /** A number that was already there. */
  | { readonly kind: 'duplicated'; readonly ledger: string; readonly seq: number }
  /** A row that the ledger never wrote: its number is beyond the head. */
  | { readonly kind: 'inserted'; readonly ledger: string; readonly seq: number }
  /** Rows from `seq` on stand where the retention removed all up to `cutSeq`, and are not what it removed. */
  | { readonly kind: 'planted'; readonly ledger: string; readonly seq: number; readonly cutSeq: number }
  /** Its time is less than that of the row before. */
  | { readonly kind: 'time_reversed'; readonly ledger: string; readonly seq: number }
  /** Rows of a ledger that nobody knows; `seq` is the first. */
  | { readonly kind: 'ledger_unknown'; readonly ledger: string; readonly seq: number };

/** One line for people. */
export function describeProblem(problem: ChainProblem): string {
  const where = `ledger ${problem.ledger.slice(0, 12)}…, row ${problem.seq}`;
  switch (problem.kind) {
    case 'altered':
      return `${where}: altered: its content does not give its hash`;
    case 'replaced':
      return `${where}: replaced: what follows it was chained to another row`;
    case 'missing':
      return problem.lastSeq === problem.seq ? `${where}: missing` : `${where} to ${problem.lastSeq}: missing`;
    case 'reordered':
      return `${where}: stands after a later row`;
    case 'duplicated':
      return `${where}: its number occurs twice`;
    case 'inserted':
      return `${where}: inserted: the ledger has not written that many rows`;
    case 'planted':
      return `${where}: planted: the ledger's rows up to ${problem.cutSeq} were removed by the retention`;
    case 'time_reversed':
      return `${where}: earlier than the row before it`;
    case 'ledger_unknown':
      return `${where}: a ledger that does not exist`;
  }
}
