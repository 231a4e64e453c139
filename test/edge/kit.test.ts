import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anthropicRoutes, anthropicUnauthorized } from '../support/anthropic-server.ts';
import { startTestEdge, type TestEdge } from '../support/edge.ts';
import { startEmulated } from '../support/emulate.ts';
import { type Gate, startGate } from '../support/gate.ts';
import { startGitUpstream } from '../support/git-upstream.ts';
import { openaiRoutes, openaiUnauthorized } from '../support/openai-server.ts';
import { start } from '../support/process.ts';
import { shippedPolicy } from '../support/shipped.ts';
import { startSwift } from '../support/swift.ts';
import { json } from '../support/upstream.ts';

const SCRIPTS = fileURLToPath(new URL('../support/kit-clients/', import.meta.url));
const PROJECT = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');

describe('the verification kit, all services behind one edge', () => {
  let edge: TestEdge;
  let token: string;
  const gates: Record<string, Gate> = {};
  const behind: { readonly stop: () => Promise<unknown> }[] = [];

  beforeAll(async () => {
    const bearer = (key: string): { header: string; value: string } => ({
      header: 'authorization',
      value: `Bearer ${key}`,
    });
    const stripe = await startEmulated('stripe');
    const github = await startEmulated('github', {
      seed: {
        tokens: { ghp_real: { login: 'octocat', scopes: ['repo', 'user'] } },
        github: { users: [{ login: 'octocat' }], repos: [{ owner: 'octocat', name: 'hello-world', auto_init: true }] },
      },
    });
    const swift = await startSwift();
    behind.push(stripe, github, swift);
    await new S3Client({
      endpoint: swift.origin,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: swift,
      maxAttempts: 5,
    }).send(new CreateBucketCommand({ Bucket: 'agent-bucket' }));
    gates.stripe = await startGate({
      to: stripe.origin,
      credential: bearer('sk_real'),
      routes: { 'GET /v1/balance': json({ object: 'balance', available: [] }) },
    });
    gates.github = await startGate({
      to: github.origin,
      credential: bearer('ghp_real'),
      routes: { 'POST /graphql': json({ data: { viewer: { login: 'octocat' } } }) },
    });
    gates.openai = await startGate({
      credential: bearer('sk-real'),
      routes: openaiRoutes,
      unauthorized: openaiUnauthorized,
    });
    gates.anthropic = await startGate({
      credential: { header: 'x-api-key', value: 'sk-ant-real' },
      routes: anthropicRoutes,
      unauthorized: anthropicUnauthorized,
    });
    gates.s3 = await startGate({
      to: swift.origin,
      opens: ({ headers }) => (headers.authorization ?? '').startsWith('AWS4-HMAC-SHA256 Credential=test:tester/'),
    });
    gates.git = await startGitUpstream('ghp_real');
    edge = await startTestEdge({
      policies: Object.fromEntries(
        Object.entries(gates).map(([name, gate]) => [`${name}.yaml`, shippedPolicy(name, { origin: gate.origin })]),
      ),
      vars: {
        STRIPE_KEY: 'sk_real',
        GITHUB_TOKEN: 'ghp_real',
        OPENAI_API_KEY: 'sk-real',
        ANTHROPIC_API_KEY: 'sk-ant-real',
        AWS_ACCESS_KEY_ID: swift.accessKeyId,
        AWS_SECRET_ACCESS_KEY: swift.secretAccessKey,
      },
    });
    token = await edge.mint('kit', [
      'stripe:read_balance',
      'stripe:create_payment_intent',
      'stripe:list_customers',
      'github:read_repo',
      'github:list_issues',
      'github:graphql_read',
      'openai:list_models',
      'openai:chat',
      'anthropic:create_message',
      'aws:s3:write_object',
      'aws:s3:list_objects',
      'aws:s3:read_object',
      'git:clone',
    ]);
  });

  afterAll(async () => {
    const results = await Promise.allSettled([edge, ...Object.values(gates), ...behind].map((thing) => thing?.stop()));
    const failures = results.flatMap((r) => (r.status === 'rejected' ? [r.reason as unknown] : []));
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'));
  });

  test.each([
    ['stripe.mjs', { VARIANT: 'fetch' }],
    ['stripe.mjs', { VARIANT: 'hosthack' }],
    ['openai.mjs', {}],
    ['anthropic.mjs', { VARIANT: 'apikey' }],
    ['anthropic.mjs', { VARIANT: 'auth' }],
    ['octokit.mjs', {}],
    ['s3.mjs', { VARIANT: 'session' }],
    ['s3.mjs', { VARIANT: 'akid' }],
    ['cli.mjs', { TOOL: 'curl' }],
    ['cli.mjs', { TOOL: 'git' }],
  ])('%s %o passes unmodified', async (script, more: Record<string, string>) => {
    const program = start(process.execPath, [SCRIPTS + script], {
      cwd: SCRIPTS,
      // cli.mjs makes a home there, and leaves it.
      env: {
        PATH: process.env.PATH,
        TMPDIR: edge.directory,
        PROXY: `${edge.url}/proxy`,
        TOKEN: token,
        NM: PROJECT,
        ...more,
      },
    });
    const { code } = await program.ended;
    expect(program.output()).toContain('"ok": true');
    expect(code, program.output()).toBe(0);
  });

  test('no gate saw a capability token, and each was opened', () => {
    for (const [name, gate] of Object.entries(gates)) {
      expect(gate.leaks, name).toEqual([]);
      expect(gate.opened.length, name).toBeGreaterThan(0);
      expect(gate.opened.length, name).toBe(gate.seen.length);
    }
  });

  test('the machine has what the scripts drive', () => {
    expect(execFileSync('git', ['--version'], { encoding: 'utf8' })).toMatch(/^git version/);
    expect(execFileSync('curl', ['--version'], { encoding: 'utf8' })).toMatch(/^curl /);
  });
});
