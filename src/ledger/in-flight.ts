/**
 * The calls of each ledger that this isolate is working on: begun, and neither refused nor at their end. A ledger that has all
 * of them in one group need not wait for more. Time is passed in.
 */
const calls = new Map<string, Map<string, number>>();

/** A call that takes longer is a long answer, or was lost with its request: it brings no other soon. */
const SHORT_MS = 2_000;

/** @returns Calls in flight, this one included. */
export function begin(ledger: string, requestId: string, now: number): number {
  let mine = calls.get(ledger);
  if (mine === undefined) calls.set(ledger, (mine = new Map()));
  for (const [id, begunAt] of mine) {
    if (now - begunAt < SHORT_MS) break;
    mine.delete(id);
  }
  mine.set(requestId, now);
  return mine.size;
}

export function end(ledger: string, requestId: string): void {
  const mine = calls.get(ledger);
  mine?.delete(requestId);
  if (mine?.size === 0) calls.delete(ledger);
}
