import { sumOf } from '../../session/counters.ts';
import { sha256Of } from '../../session/receipt.ts';
import type { SessionResult } from '../../session/run-session.ts';

/** The receipt in one line, for `--json`. */
export function summaryOf({ receipt, jws, sent }: SessionResult): object {
  const { counters } = receipt;
  return {
    session_id: receipt.session_id,
    agent_id: receipt.agent_id,
    backend: receipt.backend,
    reason: receipt.reason,
    exit_code: receipt.exit_code,
    signal: receipt.signal,
    duration_ms: receipt.at.duration_ms,
    denied: counters === null ? null : sumOf(counters.denied),
    observed: counters === null ? null : sumOf(counters.observed),
    blocked: counters === null ? null : sumOf(counters.blocked),
    dropped: counters?.dropped ?? null,
    sources: counters?.sources ?? [],
    token_revoked: receipt.token?.revoked ?? null,
    absence_proven: receipt.absence.proven,
    receipt_sha256: sha256Of(jws),
    receipt_sent: sent,
  };
}

/** How long each phase took, in the order in which they ended. */
export class Timings {
  readonly #began = performance.now();
  readonly #phases: { readonly name: string; readonly at: number }[] = [];

  readonly phase = (name: string): void => {
    this.#phases.push({ name, at: performance.now() });
  };

  print(): void {
    let before = this.#began;
    for (const { name, at } of this.#phases) {
      process.stderr.write(`keywarden: ${(at - before).toFixed(1).padStart(9)} ms  ${name}\n`);
      before = at;
    }
    process.stderr.write(`keywarden: ${(before - this.#began).toFixed(1).padStart(9)} ms  in all\n`);
    process.stderr.write(`keywarden: ${this.#began.toFixed(1).padStart(9)} ms  before that, to load\n`);
  }
}
