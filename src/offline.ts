/** What works without an edge, for the CLI: policies. */
export { compilePolicies, kindOfFile, type CompileOptions, type PolicyFile, type PolicyProblem } from './policy/compile.ts';
export { parseFixtures, runFixtures, type Fixture, type FixtureResult } from './policy/fixtures.ts';
export { explainAccess, type ExplainedCondition, type ExplainedRule, type Explanation } from './policy/explain.ts';
export { requestLineOf, type SupposedRequest } from './policy/judge.ts';
export { editorSchemas } from './policy/schema.ts';
export type { PolicyBundle, ServicePolicy, CapabilityPolicy, CredentialSpec } from './policy/ruled.ts';
export { verifyExport, type ExportVerification } from './audit/verify.ts';
