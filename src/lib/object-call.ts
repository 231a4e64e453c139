import { err, ok, type Result } from './result.ts';

const MAX_ATTEMPTS = 3;

/** How the platform marks an error of a Durable Object's call. */
export function marksOf(error: unknown): { readonly retryable: boolean; readonly overloaded: boolean } {
  const { retryable, overloaded } = (error ?? {}) as { readonly retryable?: unknown; readonly overloaded?: unknown };
  return { retryable: retryable === true, overloaded: overloaded === true };
}

/**
 * Calls a Durable Object, and again what the platform marks `retryable` and not `overloaded`.
 *
 * @param send  Takes a fresh stub each time, since one that has failed stays broken. `attempt` is 0 at first, 2 at most.
 * @returns     The answer, or the last error.
 */
export async function callObject<T>(send: (attempt: number) => Promise<T>): Promise<Result<T, unknown>> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return ok(await send(attempt));
    } catch (error) {
      const { retryable, overloaded } = marksOf(error);
      if (!retryable || overloaded || attempt + 1 >= MAX_ATTEMPTS) return err(error);
    }
  }
}
