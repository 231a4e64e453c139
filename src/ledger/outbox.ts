import type { CallOutcome } from '../audit/event.ts';

/**
 * Outcomes on their way to the ledgers, as plain data of the isolate: they ride on the next `admit` of their agent, and a
 * sweep takes the rest. No promise of a request is kept here: another request that awaited it would fail at random with
 * "Cannot perform I/O on behalf of a different request". Pure; time is passed in.
 *
 * An outcome leaves when its ledger has it. One whose sender never reported back is taken again after a while: the ledger
 * records it once, however often it comes.
 */
export interface Outbox {
  put(ledger: string, outcome: CallOutcome): void;
  /** Outcomes for one ledger, oldest first; they are the taker's until it confirms or returns them, or is too slow. */
  take(ledger: string, limit: number, now: number): CallOutcome[];
  confirm(ledger: string, outcomes: readonly CallOutcome[]): void;
  giveBack(ledger: string, outcomes: readonly CallOutcome[]): void;
  /** Ledgers for which something may be taken. */
  ledgers(now: number): string[];
  /** Outcomes that no ledger has confirmed. */
  readonly size: number;
  /** Outcomes that were dropped since {@link MAX_OUTCOMES} were waiting: their intents become `call.unknown`. */
  readonly dropped: number;
}

/** After this the taker is taken for dead (its request was cancelled, its isolate's time was up). */
export const TAKER_PATIENCE_MS = 5_000;
/** A bound on the isolate's memory while the ledgers are unreachable. */
export const MAX_OUTCOMES = 20_000;

interface Waiting {
  readonly outcome: CallOutcome;
  /** Unix ms; 0: nobody has it. */
  takenAt: number;
}

export function createOutbox(): Outbox {
  const boxes = new Map<string, Map<string, Waiting>>();
  let size = 0;
  let dropped = 0;
  const free = (waiting: Waiting, now: number) => waiting.takenAt === 0 || now - waiting.takenAt > TAKER_PATIENCE_MS;

  return {
    put(ledger, outcome) {
      if (size >= MAX_OUTCOMES) {
        dropped += 1;
        return;
      }
      let box = boxes.get(ledger);
      if (box === undefined) boxes.set(ledger, (box = new Map()));
      if (!box.has(outcome.requestId)) size += 1;
      box.set(outcome.requestId, { outcome, takenAt: 0 });
    },
    take(ledger, limit, now) {
      const taken: CallOutcome[] = [];
      for (const waiting of boxes.get(ledger)?.values() ?? []) {
        if (taken.length >= limit) break;
        if (!free(waiting, now)) continue;
        waiting.takenAt = now;
        taken.push(waiting.outcome);
      }
      return taken;
    },
    confirm(ledger, outcomes) {
      const box = boxes.get(ledger);
      if (box === undefined) return;
      for (const { requestId } of outcomes) if (box.delete(requestId)) size -= 1;
      if (box.size === 0) boxes.delete(ledger);
    },
    giveBack(ledger, outcomes) {
      const box = boxes.get(ledger);
      for (const { requestId } of outcomes) {
        const waiting = box?.get(requestId);
        if (waiting !== undefined) waiting.takenAt = 0;
      }
    },
    ledgers(now) {
      return [...boxes]
        .filter(([, box]) => [...box.values()].some((waiting) => free(waiting, now)))
        .map(([ledger]) => ledger);
    },
    get size() {
      return size;
    },
    get dropped() {
      return dropped;
    },
  };
}
