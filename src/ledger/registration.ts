import type { Env } from '../env.ts';
import { DIRECTORY_NAME } from './contract.ts';
import { type LedgerKey, ledgerNameOf } from './name.ts';

const MARK_EVERY_MS = 10_000;

/** What a ledger tells the directory of itself: that it exists, and that rows wait in it. */
export class Registration {
  readonly #directory: Env['DIRECTORY'];
  #introduced: Promise<void> | null = null;
  #belongsTo: string | null = null;
  #markedAt = 0;

  constructor(directory: Env['DIRECTORY']) {
    this.#directory = directory;
  }

  /** The directory knows of the ledger before its first row exists; a failure is the caller's, and tried again next time. */
  async introduce(ledger: string, agent: string | null): Promise<void> {
    const key = keyOf(ledger, agent);
    this.#introduced ??= this.#entry()
      .register({ ledger, kind: key.kind, agent: key.kind === 'agent' ? key.agent : null })
      .then(() => {
        this.#markedAt = Date.now();
      })
      .finally(() => {
        this.#introduced = null;
      });
    await this.#introduced;
  }

  /** @throws when the ledger is another's. */
  mustBelongTo(ledger: string, agent: string): void {
    if (this.#belongsTo === agent) return;
    keyOf(ledger, agent);
    this.#belongsTo = agent;
  }

  /** A reader should flush this ledger. One who misses it sees the rows a little later. */
  async markActive(ledger: string): Promise<void> {
    const now = Date.now();
    if (now - this.#markedAt < MARK_EVERY_MS) return;
    this.#markedAt = now;
    await this.#entry()
      .markActive(ledger)
      .catch(() => undefined);
  }

  #entry() {
    return this.#directory.get(this.#directory.idFromName(DIRECTORY_NAME));
  }
}

/** Whose ledger bears this name; throws when it is not the agent's, for no call may be charged to another's ledger. */
function keyOf(ledger: string, agent: string | null): LedgerKey {
  const candidates: LedgerKey[] = [{ kind: 'anonymous' }, { kind: 'operators' }];
  if (agent !== null) candidates.unshift({ kind: 'agent', agent });
  const key = candidates.find((candidate) => ledgerNameOf(candidate) === ledger);
  if (key === undefined) throw new Error("this ledger is not the agent's");
  return key;
}
