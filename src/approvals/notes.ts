import type { Env } from '../env.ts';
import type { LedgerNote, RecordAnswer } from '../ledger/contract.ts';
import { ledgerNameOf } from '../ledger/name.ts';
import { ledgerNote } from '../ledger/note.ts';
import type { Approval } from './state.ts';
import type { ApprovalStore, WaitingNote } from './store.ts';

/**
 * What the desk tells the agents' ledgers: kept with what it tells of, in one transaction, and sent in order. Notes reach the
 * ledger at least once and stand there once.
 */
export class Notes {
  readonly #store: ApprovalStore;
  readonly #ledgers: Env['LEDGER'];
  readonly #onStuck: () => void;
  #draining: Promise<ReadonlySet<string>> | null = null;

  /** @param onStuck  Some could not be sent: they want to be drained again. */
  constructor(store: ApprovalStore, ledgers: Env['LEDGER'], onStuck: () => void) {
    this.#store = store;
    this.#ledgers = ledgers;
    this.#onStuck = onStuck;
  }

  /** To be called within the transaction that makes it true. */
  add(
    approval: Approval,
    event: LedgerNote['event'],
    requestId: string,
    operator: string | null,
    detail: LedgerNote['detail'],
  ): void {
    const { agent, session, tokenId, capability } = approval;
    const about = { approval: approval.id, request: approval.binding, ...detail };
    const note = ledgerNote({ event, requestId, agent, session, tokenId, capability, operator, detail: about });
    this.#store.addNote(agent, JSON.stringify(note));
  }

  /** Sends the waiting notes to the ledgers, in order. @returns agents whose notes wait still. */
  async drain(): Promise<ReadonlySet<string>> {
    // Who comes while one runs needs its own note sent too.
    while (this.#draining !== null) await this.#draining;
    this.#draining = this.#drainAll().finally(() => {
      this.#draining = null;
    });
    return this.#draining;
  }

  async #drainAll(): Promise<ReadonlySet<string>> {
    const stuck = new Set<string>();
    const byAgent = Map.groupBy(this.#store.notes(), ({ agent }) => agent);
    await Promise.all(
      [...byAgent].map(async ([agent, notes]) => {
        if (!(await this.#send(agent, notes))) stuck.add(agent);
      }),
    );
    if (stuck.size > 0) this.#onStuck();
    return stuck;
  }

  async #send(agent: string, notes: readonly WaitingNote[]): Promise<boolean> {
    const last = notes.at(-1)?.id ?? 0;
    // What was sent before may have been recorded: said to the ledger, which then looks.
    const attempt = notes.some(({ sent }) => sent === 1) ? 1 : 0;
    this.#store.markSent(agent, last);
    try {
      const ledger = this.#ledgers.get(this.#ledgers.idFromName(ledgerNameOf({ kind: 'agent', agent })));
      const answer = (await ledger.record({
        attempt,
        outcomes: [],
        refused: [],
        notes: notes.map(({ note }) => JSON.parse(note) as LedgerNote),
      })) as RecordAnswer;
      if (answer.effect !== 'recorded') return false;
      this.#store.removeNotes(agent, last);
      return true;
    } catch (error) {
      console.error(
        `keywarden: error: an approval's notes wait: ${error instanceof Error ? error.message : 'unknown'}`,
      );
      return false;
    }
  }
}
