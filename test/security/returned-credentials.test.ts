import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { shippedPolicy } from '../support/shipped.ts';
import { expectPassed, expectRefused, rowOf, startWorld, type World } from './world.ts';

let world: World;
let token: string;
const SHIPPED = ['github', 'stripe', 'openai', 'anthropic', 'slack', 's3'] as const;

beforeAll(async () => {
  world = await startWorld({
    policies: (origin) => Object.fromEntries(SHIPPED.map((name) => [`${name}.yaml`, shippedPolicy(name, { origin })])),
    vars: {
      GITHUB_TOKEN: 'ghp_githubGITHUBgithub0123456789',
      STRIPE_KEY: 'sk_test_stripeSTRIPEstripe0123',
      OPENAI_API_KEY: 'sk-openaiOPENAIopenai0123456789',
      ANTHROPIC_API_KEY: 'sk-ant-anthropicANTHROPIC012345',
      SLACK_BOT_TOKEN: 'xoxb-slackSLACKslack-0123456789',
      SLACK_TOKEN: 'xoxb-slackSLACKslack-0123456789',
      AWS_ACCESS_KEY_ID: 'AKIARETURNEDCREDS001',
      AWS_SECRET_ACCESS_KEY: 'wReturnedCredentials/K7MDENG+bPxRfiCYTEST1',
    },
  });
  // Whatever an agent can be given at all, it is given.
  const every = SHIPPED.flatMap((name) => {
    const policy = parse(shippedPolicy(name, { origin: 'http://127.0.0.1:1' })) as {
      service: string;
      prefix?: string;
      capabilities: object;
    };
    return Object.keys(policy.capabilities).map((capability) => `${policy.prefix ?? policy.service}:${capability}`);
  });
  token = await world.token(every);
}, 120_000);
afterAll(() => world?.stop());
beforeEach(() => world.upstream.forget());

const send = (service: string, method: string, target: string, fields: readonly string[] = [], body = '') =>
  world.call(service, method, target, {
    token,
    fields: [...(body === '' ? [] : ['Content-Type: application/json']), ...fields],
    body,
  });

describe('threat 34: what makes new credentials is denied, whatever the agent holds (shipped policies)', () => {
  it.each([
    ['github', 'POST', '/app/installations/1/access_tokens'],
    ['github', 'POST', '/repos/acme/x/keys'],
    ['github', 'POST', '/user/keys'],
    ['github', 'POST', '/repos/acme/x/actions/runners/registration-token'],
    ['github', 'POST', '/orgs/acme/actions/runners/registration-token'],
    ['github', 'POST', '/applications/x/token'],
    ['github', 'PUT', '/repos/acme/x/actions/secrets/A'],
    ['stripe', 'POST', '/v1/ephemeral_keys'],
    ['stripe', 'POST', '/v1/webhook_endpoints'],
    ['stripe', 'POST', '/v1/account_links'],
    ['openai', 'POST', '/v1/organization/admin_api_keys'],
    ['openai', 'POST', '/v1/realtime/sessions'],
    ['anthropic', 'GET', '/v1/organizations/api_keys'],
    ['slack', 'POST', '/api/oauth.v2.access'],
    ['slack', 'POST', '/api/auth.revoke'],
    ['slack', 'POST', '/api/apps.connections.open'],
  ])('%s %s %s', async (service, method, target) => {
    const response = await send(service, method, target, [], '{}');
    expect(world.upstream.seen).toHaveLength(0);
    const row = await rowOf(world, response, 'call.denied');
    expect(row).toMatchObject({ decision: 'deny', service });
    expect(['rule_denied', 'operation_unknown', 'condition_unmet', 'condition_unevaluable']).toContain(row.reason);
  });
});

describe("threat 21: the agent's own key, account or bucket is not used on an allowed host", () => {
  it('its own key is stripped: the account is ours', async () => {
    const response = await send('openai', 'GET', '/v1/models', [
      'Api-Key: sk-attacker',
      'X-Api-Key: sk-attacker',
      'OpenAI-Beta: x',
      'Cookie: sk-attacker',
    ]);
    await expectPassed(world, response);
    expect(world.upstream.seen[0]?.headers['authorization']).toBe('Bearer sk-openaiOPENAIopenai0123456789');
    expect(JSON.stringify(world.upstream.seen[0])).not.toContain('sk-attacker');
  });

  it('a field that would act on another account is refused', async () => {
    await expectRefused(
      world,
      await send('openai', 'GET', '/v1/models', ['OpenAI-Organization: org-attacker']),
      403,
      'rule_denied',
    );
    await expectRefused(
      world,
      await send('stripe', 'GET', '/v1/balance', ['Stripe-Account: acct_attacker']),
      403,
      'rule_denied',
    );
  });

  it('no gist, fork, hook or import carries data out of GitHub', async () => {
    for (const target of [
      '/gists',
      '/repos/acme/x/forks',
      '/repos/acme/x/hooks',
      '/repos/acme/x/import',
      '/repos/acme/x/transfer',
    ]) {
      await expectRefused(world, await send('github', 'POST', target, [], '{}'), 403, 'rule_denied');
    }
  });

  it('an S3 object is not copied to or from another bucket, published, or signed for by the client', async () => {
    for (const field of [
      'x-amz-copy-source: /theirs/key',
      'x-amz-acl: public-read',
      'x-amz-grant-read: uri=x',
      'x-amz-website-redirect-location: https://evil.example/',
      'x-amz-server-side-encryption-customer-key: AAAA',
    ]) {
      const response = await send('s3', 'PUT', '/bucket/key', [field], 'x');
      expect(world.upstream.seen, field).toHaveLength(0);
      expect(await rowOf(world, response, 'call.denied')).toMatchObject({ reason: 'rule_denied' });
    }
    for (const query of ['acl', 'policy', 'X-Amz-Signature=00&X-Amz-Credential=AKIATHEIRS', 'versions']) {
      const response = await send('s3', 'GET', `/bucket/key?${query}`);
      expect(world.upstream.seen, query).toHaveLength(0);
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect((await rowOf(world, response, 'call.denied')).decision).toBe('deny');
    }
  });
});
