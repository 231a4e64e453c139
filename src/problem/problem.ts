import type { Denial } from '../denial.ts';
import type { Fault } from '../fault.ts';
import { denialProblem } from './denial-words.ts';
import { faultProblem } from './fault-words.ts';
import type { PublicProblem } from './public-problem.ts';

/** The only way from a private reason to words for a client. */
export const problemOf = (reason: Denial | Fault): PublicProblem =>
  reason.kind === 'fault' ? faultProblem(reason) : denialProblem(reason);
