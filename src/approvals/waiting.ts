import type { Approval, ApprovalState } from './state.ts';

/** How a wait ended: by a decision, by its time, because another yes may cover it, or because too many wait. */
export type Waited = ApprovalState | 'kin' | 'full';

/** Calls of one agent that may be held at once. */
const MAX_WAITING = 100;

interface Waiter {
  readonly agent: string;
  readonly wake: (how: Waited) => void;
}

/** The calls that are held until their approvals are decided. */
export class Waiting {
  readonly #waiting = new Map<string, Set<Waiter>>();

  /**
   * Resolves when it is woken, and after `ms` at the latest.
   *
   * @param late  How the approval stands when the time is over.
   */
  wait({ id, agent }: Pick<Approval, 'id' | 'agent'>, ms: number, late: () => Waited): Promise<Waited> {
    if (this.#ofAgent(agent) >= MAX_WAITING) return Promise.resolve('full');
    const set = this.#waiting.get(id) ?? new Set<Waiter>();
    this.#waiting.set(id, set);
    return new Promise<Waited>((resolve) => {
      const waiter: Waiter = {
        agent,
        wake: (how) => {
          clearTimeout(timer);
          set.delete(waiter);
          if (set.size === 0 && this.#waiting.get(id) === set) this.#waiting.delete(id);
          resolve(how);
        },
      };
      const timer = setTimeout(() => waiter.wake(late()), ms);
      set.add(waiter);
    });
  }

  /** Ends all waits for one approval. */
  wake(id: string, how: Waited): void {
    for (const waiter of [...(this.#waiting.get(id) ?? [])]) waiter.wake(how);
  }

  #ofAgent(agent: string): number {
    let count = 0;
    for (const set of this.#waiting.values()) for (const one of set) if (one.agent === agent) count += 1;
    return count;
  }
}
