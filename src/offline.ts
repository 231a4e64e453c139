/** What works without an edge, for the CLI: policies, audit exports, receipts, finding a secret in what a program prints. */

export { type ExportVerification, type LineRead, verifyExport } from './audit/verify.ts';
export {
  type CompileOptions,
  compilePolicies,
  type PolicyFile,
  type PolicyProblem,
  type UnreadFile,
} from './policy/compile.ts';
export { type Explanation, explainAccess } from './policy/explain.ts';
export { runFixtures } from './policy/fixtures.ts';
export type { PolicyBundle } from './policy/ruled.ts';
export { secretNamesOf } from './policy/secret-names.ts';
export { closestOf } from './policy/spelling.ts';
export { type NoReceipt, verifyReceipt } from './sessions/receipt.ts';
export { Credential } from './upstream/credential.ts';
export { Scrubber } from './upstream/scrub/scrubber.ts';
