import type { Leftover } from '../sandbox/backend.ts';

/** What a sweep did with one session. */
export interface SweptSession {
  readonly session: string;
  readonly did: /** Its runner lives: not ours to touch. */
    | 'left_alone'
    /** Its runner lives but did not end it in time: what ran was killed; the runner writes the receipt. */
    | 'killed_overdue'
    | 'ended'
    /** Something could not be removed; the lease stays. */
    | 'incomplete';
  readonly detail: string;
}

export const incomplete = (session: string, left: readonly Leftover[]): SweptSession => ({
  session,
  did: 'incomplete',
  detail: `still there: ${left.map(({ kind, name }) => `${kind} ${name}`).join(', ')}`,
});
