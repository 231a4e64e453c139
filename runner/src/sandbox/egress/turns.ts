/** So many at once; who comes then waits, in the order of coming. */
export class Turns {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(most: number) {
    this.#free = most;
  }

  /**
   * @param go  Called when there is a turn: at once, or later.
   * @returns what ends the turn, or the waiting for it.
   */
  take(go: () => void): () => void {
    let state: 'waits' | 'goes' | 'over' = 'waits';
    const start = (): void => {
      state = 'goes';
      this.#free -= 1;
      go();
    };
    if (this.#free > 0) start();
    else this.#waiting.add(start);
    return () => {
      this.#waiting.delete(start);
      const went = state === 'goes';
      state = 'over';
      if (!went) return;
      this.#free += 1;
      const [next] = this.#waiting;
      if (next === undefined) return;
      this.#waiting.delete(next);
      next();
    };
  }
}
