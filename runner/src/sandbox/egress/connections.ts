import type { Socket } from 'node:net';

/**
 * Who may stay when there is no room for all: one that nothing is asked on makes room, the one that is silent for longest first.
 * So a connection that its program forgot keeps out none that it needs.
 */
export class Connections {
  readonly #most: number;
  readonly #silentMs: number;
  /** Those with requests that are not answered yet, and how many: a client may send the next before it has read an answer. */
  readonly #busy = new Map<Socket, number>();
  /** In all. */
  #unanswered = 0;
  /** The others, and since when, in that order. */
  readonly #silent = new Map<Socket, number>();
  #again: NodeJS.Timeout | null = null;

  /** @param silentMs  For so long one is safe: what is asked on it may be on its way. */
  constructor(most: number, silentMs: number) {
    this.#most = most;
    this.#silentMs = silentMs;
  }

  opened(socket: Socket): void {
    this.#silent.set(socket, performance.now());
    socket.once('close', () => {
      this.#silent.delete(socket);
      this.#unanswered -= this.#busy.get(socket) ?? 0;
      this.#busy.delete(socket);
    });
    this.#makeRoom();
  }

  /**
   * @returns `full` when so many others are busy, too, that it must be refused; `ahead` when its answers are not waited for, and
   *   there is no room for that: it must end, or what is asked would grow without a bound (RFC 9112, 9.3.2 lets it).
   */
  asked(socket: Socket): 'known' | 'full' | 'ahead' {
    this.#silent.delete(socket);
    const own = (this.#busy.get(socket) ?? 0) + 1;
    this.#busy.set(socket, own);
    this.#unanswered += 1;
    if (own > 1 && this.#unanswered > this.#most) return 'ahead';
    return this.#busy.size <= this.#most ? 'known' : 'full';
  }

  answered(socket: Socket): void {
    const left = (this.#busy.get(socket) ?? 0) - 1;
    if (left >= 0) this.#unanswered -= 1;
    if (left > 0) this.#busy.set(socket, left);
    else if (this.#busy.delete(socket) && !socket.destroyed) {
      this.#silent.set(socket, performance.now());
      this.#makeRoom();
    }
  }

  #makeRoom(): void {
    for (const [socket, since] of this.#silent) {
      if (this.#silent.size + this.#busy.size <= this.#most) return;
      const safeMs = since + this.#silentMs - performance.now();
      if (safeMs > 0) {
        this.#again ??= setTimeout(() => {
          this.#again = null;
          this.#makeRoom();
        }, safeMs).unref();
        return;
      }
      this.#silent.delete(socket);
      socket.destroy();
    }
  }
}
