import type { Denial } from '../denial.ts';
import type { EnvironmentProblem } from '../edge.ts';
import { type Fault, fault } from '../fault.ts';
import { problemResponse } from '../problem/response.ts';

/** A denial or a fault where no service's own shape is asked for. */
export const ownProblem = (reason: Denial | Fault, requestId: string, method: string): Response =>
  problemResponse(reason, { requestId, shape: 'problem', limits: [], method });

/** A broken environment refuses to serve: what is broken goes to the log, and to `/healthz`. */
export function brokenResponse(problems: readonly EnvironmentProblem[], requestId: string, method: string): Response {
  tellBroken('refuses to serve', problems);
  return ownProblem(fault('environment_broken', namesOf(problems)), requestId, method);
}

/** To the log: what is not done, and why. */
export function tellBroken(what: string, problems: readonly EnvironmentProblem[]): void {
  console.error(`keywarden: error: ${what}: ${namesOf(problems)}`);
}

const namesOf = (problems: readonly EnvironmentProblem[]): string => problems.map(({ problem }) => problem).join('; ');
