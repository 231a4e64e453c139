import type { GroupBasis, GroupDraft } from './group.ts';

/** Drafts one job's rows and gives its answer. */
export type Apply<T = unknown> = (draft: GroupDraft, basis: GroupBasis) => T;

interface Job {
  readonly apply: Apply;
  readonly resolve: (value: never) => void;
  readonly reject: (reason: unknown) => void;
}

/** Turns of the event loop, of about a millisecond each, that a group stays open. */
const MAX_TICKS = 8;

/**
 * Gathers what is to be committed into groups, each of which is one write: every commit stops the whole isolate until the disk has
 * answered, so that few large groups are faster than many small. The figures are in docs/decisions/0009.
 */
export class CommitQueue {
  readonly #commit: (group: readonly Apply[]) => readonly unknown[];
  readonly #durable: () => Promise<void>;
  #queue: Job[] = [];
  /** Jobs in the last group. */
  #groupSize = 0;
  /** Calls that the senders of those in the queue are working on: more cannot be waiting to come in. 0: nobody said. */
  #expected = 0;
  #committing = false;

  /**
   * @param commit   Writes one group; its answers in the group's order. When it throws, nothing of the group is written.
   * @param durable  Resolves when all that was written is on disk.
   */
  constructor(commit: (group: readonly Apply[]) => readonly unknown[], durable: () => Promise<void>) {
    this.#commit = commit;
    this.#durable = durable;
  }

  /** How many calls the sender of the next job is working on, that job's included. */
  expect(inFlight: number): void {
    this.#expected = Math.max(this.#expected, inFlight);
  }

  /** Resolves when the job's group is written; the output gate holds what is said then until it is on disk. */
  add<T>(apply: Apply<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ apply, resolve, reject });
      if (this.#committing) return;
      if (this.#expected === 1 && this.#groupSize <= 1) {
        this.#commitGroup();
        return;
      }
      this.#committing = true;
      queueMicrotask(() => void this.#commitGroups());
    });
  }

  /** While one group becomes durable the next gathers: the busier it is, the larger the groups. */
  async #commitGroups(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        await this.#gather();
        const crowded = this.#queue.length > 1 || this.#expected !== 1;
        this.#commitGroup();
        if (crowded) await this.#durable();
      }
    } catch (error) {
      // What was written is not on disk: the object is broken, and nobody in it gets an answer.
      for (const job of this.#queue.splice(0)) job.reject(error);
    }
    this.#committing = false;
  }

  /**
   * A call that is alone is not kept waiting. Otherwise the group stays open as long as calls keep coming, and the longer the
   * more came last time. Once all that the senders are working on are here, nothing is waited for.
   */
  async #gather(): Promise<void> {
    // Of what was refused nobody knows how much more comes.
    if (this.#expected === 0 && this.#groupSize <= 1 && this.#queue.length <= 1) return;
    const least = this.#groupSize >= 8 ? 3 : this.#groupSize >= 4 ? 2 : 1;
    for (let tick = 0, seen = 0; tick < least || (tick < MAX_TICKS && this.#queue.length > seen); tick++) {
      if (this.#expected > 0 && this.#queue.length >= this.#expected) return;
      seen = this.#queue.length;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  #commitGroup(): void {
    const jobs = this.#queue;
    this.#groupSize = jobs.length;
    this.#queue = [];
    this.#expected = 0;
    try {
      const answers = this.#commit(jobs.map(({ apply }) => apply));
      jobs.forEach(({ resolve }, index) => resolve(answers[index] as never));
    } catch (error) {
      for (const { reject } of jobs) reject(error);
    }
  }
}
