/**
 * The layer rules of CONTRIBUTING.md, executable: down only, sibling rooms never.
 * Type-only imports count too, but for the few contracts that a lower layer's type legitimately names.
 */

/** What decides: it gets data and the time, and owns neither a clock nor randomness (see test/architecture.test.ts). */
export const pure =
  '^src/(lib|access|denial|fault)|^src/policy/(?!bundle)|^src/ledger/(approval|contract|group|in-flight|name|note|open-intents|outbox|push-delay|rate|reason|revoked|rows|wire)|^src/approvals/(contract|shown|state|link|waiting)|^src/audit/(event|chain|export-line|read-checkpoint|verify)|^src/capability/(claims|locate|principal|cache)|^src/upstream/|^src/webhook/signature';

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^cloudflare:|generated\\.json$' },
    },
    {
      name: 'lib-knows-nobody',
      comment: 'lib, access, denial and fault are layer 0',
      severity: 'error',
      from: { path: '^src/(lib/|access\\.ts|denial\\.ts|fault\\.ts)' },
      to: { path: '^src/', pathNot: '^src/(lib/|access\\.ts|denial\\.ts|fault\\.ts)' },
    },
    {
      name: 'pure-cores',
      comment: 'what decides takes data and the time: no shell, no binding, no router',
      severity: 'error',
      from: { path: pure },
      to: {
        path: '(^src/(pipeline|routes|problem|db|env|edge|app\\.|index|operator|protocol))|node_modules/(hono|drizzle-orm|miniflare|wrangler)/',
      },
    },
    {
      name: 'policy-knows-no-sibling',
      severity: 'error',
      from: { path: '^src/policy/' },
      to: { path: '^src/(capability|upstream|ledger|audit|operator)/' },
    },
    {
      name: 'upstream-knows-no-sibling',
      severity: 'error',
      from: { path: '^src/upstream/' },
      to: { path: '^src/(capability|ledger|audit|operator)/' },
    },
    {
      name: 'capability-knows-no-sibling',
      severity: 'error',
      from: { path: '^src/capability/' },
      to: { path: '^src/(policy|upstream|ledger|audit|operator)/' },
    },
    {
      name: 'hono-only-at-the-door',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(routes/|app\\.ts)' },
      to: { path: 'node_modules/hono/' },
    },
    {
      name: 'drizzle-only-in-stores',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(db|ledger|audit|sessions)/' },
      to: { path: 'node_modules/drizzle-orm/' },
    },
    {
      name: 'jose-only-for-tokens',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(capability|operator|audit|sessions)/' },
      to: { path: 'node_modules/jose/' },
    },
    {
      name: 'secrets-have-two-readers',
      comment: 'secret bindings are read in upstream/secrets.ts, for the inject step and the check at the door',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(pipeline/(inject|call)|edge)\\.ts|^src/upstream/' },
      to: { path: '^src/upstream/secrets\\.ts' },
    },
    {
      name: 'two-doors-for-the-runner',
      comment: 'docs/decisions/0002: the runner and the console may import protocol.ts and offline.ts only',
      severity: 'error',
      from: { path: '^(runner|console)/' },
      to: { path: '^src/', pathNot: '^src/(protocol|offline)\\.ts' },
    },
    {
      name: 'the-edge-knows-no-runner',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(runner|console|scripts|bench|test)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['workerd', 'import', 'node', 'default'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
};
