/** What works without an edge, for the CLI: policies, audit exports, finding a secret in what a program prints. */

export { type ExportProblem, type ExportVerification, type LineRead, verifyExport } from './audit/verify.ts';
export {
  type CompileOptions,
  compilePolicies,
  kindOfFile,
  type PolicyFile,
  type PolicyProblem,
  type UnreadFile,
} from './policy/compile.ts';
export { type ExplainedCondition, type ExplainedRule, type Explanation, explainAccess } from './policy/explain.ts';
export { type Fixture, type FixtureResult, type FixtureRun, runFixtures } from './policy/fixtures.ts';
export { requestLineOf, type SupposedRequest } from './policy/judge.ts';
export type { CapabilityPolicy, CredentialSpec, PolicyBundle, ServicePolicy } from './policy/ruled.ts';
export { editorSchemas } from './policy/schema.ts';
export { closestOf } from './policy/spelling.ts';
export { Credential } from './upstream/credential.ts';
export { REDACTED, Scrubber } from './upstream/scrub/scrubber.ts';
