/**
 * How long an exchange with an upstream may stay silent: one timer for all of it, which is set again only when it has rung too
 * early, so that to move it on costs nothing, however many chunks a body has.
 */
export class Deadline {
  readonly #onPassed: () => void;
  /** Unix ms; infinite while nothing is waited for. */
  #at: number;
  /** Unix ms at which the timer rings, never later than the deadline; infinite when it is not set. */
  #rings: number;
  #timer: ReturnType<typeof setTimeout>;
  #passed = false;

  /** @param onPassed  Called once, when the deadline has passed. */
  constructor(ms: number, onPassed: () => void) {
    this.#onPassed = onPassed;
    this.#at = Date.now() + ms;
    this.#rings = this.#at;
    this.#timer = setTimeout(() => this.#ring(), ms);
  }

  get passed(): boolean {
    return this.#passed;
  }

  /** From now on there are `ms` again. */
  extend(ms: number): void {
    this.#at = Date.now() + ms;
    if (this.#at >= this.#rings || this.#passed) return;
    clearTimeout(this.#timer);
    this.#setTimer(ms);
  }

  /** Until it is extended again nothing is waited for. */
  pause(): void {
    this.#at = Number.POSITIVE_INFINITY;
  }

  clear(): void {
    this.pause();
    clearTimeout(this.#timer);
    this.#rings = Number.POSITIVE_INFINITY;
  }

  #setTimer(ms: number): void {
    this.#rings = Date.now() + ms;
    this.#timer = setTimeout(() => this.#ring(), ms);
  }

  #ring(): void {
    this.#rings = Number.POSITIVE_INFINITY;
    if (this.#at === Number.POSITIVE_INFINITY) return;
    const left = this.#at - Date.now();
    if (left > 0) {
      this.#setTimer(left);
      return;
    }
    this.#passed = true;
    this.#onPassed();
  }
}
