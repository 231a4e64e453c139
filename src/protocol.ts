import * as z from 'zod/mini';
import { issueWords } from './lib/issue-words.ts';

/**
 * The schemas of our own HTTP API: what the edge validates with, what `openapi.json` is made from, and the one door
 * of the Worker that the command line and the console may go through. Field names are snake_case, times RFC 3339 in UTC.
 */
export { CLOCK_TOLERANCE_SECONDS } from './capability/claims.ts';
export { ROLES, type Role } from './operator/roles.ts';
export * from './protocol/approvals.ts';
export * from './protocol/audit.ts';
export * from './protocol/base.ts';
export * from './protocol/console.ts';
export * from './protocol/health.ts';
export * from './protocol/ids.ts';
export * from './protocol/policies.ts';
export * from './protocol/problem.ts';
export * from './protocol/sessions.ts';
export * from './protocol/signals.ts';
export * from './protocol/stops.ts';
export * from './protocol/tokens.ts';

// The small build of zod has no words of its own.
z.config({ localeError: issueWords });
