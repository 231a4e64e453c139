import type { SessionEndReason } from '../../../src/protocol.ts';
import type { Exit } from '../sandbox/backend.ts';

/** Why a session ends: many may try to say it, the first is believed. */
export class EndCause {
  #reason: SessionEndReason | null = null;
  readonly #settled = Promise.withResolvers<SessionEndReason>();

  get reason(): SessionEndReason | null {
    return this.#reason;
  }

  /** Resolves with the first reason; never rejects. */
  get settled(): Promise<SessionEndReason> {
    return this.#settled.promise;
  }

  settle(reason: SessionEndReason): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#settled.resolve(reason);
  }
}

/** How near its deadline an agent that a signal ended is taken for ended by the deadline inside, which may fire first. */
const NEAR_MS = 500;

/** What an exit that nobody here asked for means. @param leftMs  Until the deadline. */
export function reasonOfExit(exit: Exit, leftMs: number): SessionEndReason {
  if (exit.outOfMemory) return 'out_of_memory';
  if (leftMs <= NEAR_MS && (exit.signal !== null || exit.code >= 128)) return 'deadline';
  return exit.signal === null ? 'exited' : 'killed';
}
