import type { admit } from '../../src/pipeline/admit.ts';
import type { answer } from '../../src/pipeline/answer.ts';
import type { authorize } from '../../src/pipeline/authorize.ts';
import type { Admitted, Authenticated, Authorized, Call, Held, Injected } from '../../src/pipeline/call.ts';
import type { forward } from '../../src/pipeline/forward.ts';
import type { hold } from '../../src/pipeline/hold.ts';
import type { inject } from '../../src/pipeline/inject.ts';

/**
 * The order of the pipeline is in its types: to skip a step does not compile. Nothing here runs; the proof is `npm run
 * check:types`, which fails when one of these lines compiles, and so tsconfig.json names this file.
 */
type First<Step extends (...args: never[]) => unknown> = Parameters<Step>[0];
declare const call: Call;
declare const authenticated: Authenticated;
declare const authorized: Authorized;
declare const held: Held;
declare const admitted: Admitted;
declare const injected: Injected;
const { request, credentials } = injected;

// @ts-expect-error a call that was not authenticated cannot be authorized
export const unauthenticated: First<typeof authorize> = { call, principal: authenticated.principal, token: '' };
// @ts-expect-error a call that was not authorized cannot be held
export const unauthorized: First<typeof hold> = authenticated;
// @ts-expect-error a call about which nobody asked whether a person must agree is not admitted
export const unasked: First<typeof admit> = { authorized, grant: null, fields: {} };
// @ts-expect-error a call that was not admitted gets no credential
export const unadmitted: First<typeof inject> = { authorized: held.authorized, limits: [] };
// @ts-expect-error without injection nothing is forwarded
export const uninjected: First<typeof forward> = { admitted, request, credentials };
// @ts-expect-error what was not forwarded has no answer
export const unforwarded: First<typeof answer> = injected;
