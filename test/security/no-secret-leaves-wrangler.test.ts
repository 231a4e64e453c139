import { describe, expect, it } from 'vitest';
import { makeOperatorKey, makeSigningKey, operatorEntryOf } from '../../runner/src/state/keys.ts';
import { ROLES } from '../../src/protocol.ts';
import { Search } from './canaries.ts';
import { canary, SECRETS } from './planted.ts';
import { ALL, policiesFor } from './world.ts';
import { startWranglerCopy } from './wrangler-copy.ts';

describe('no secret leaves', () => {
  it('through wrangler dev, its output, its logs and its files', async () => {
    const operatorKey = makeOperatorKey();
    const signing = makeSigningKey();
    const vars = {
      ...SECRETS,
      BANK_KEY: canary('wrangler'),
      KEYWARDEN_SIGNING_KEY: JSON.stringify(signing),
      KEYWARDEN_OPERATORS: JSON.stringify([operatorEntryOf(operatorKey, 'tester', ROLES)]),
    };
    const policies = {
      ...Object.fromEntries(
        Object.entries(policiesFor('https://api.example.invalid')).map(([name, text]) => [
          name,
          text.replace('api.example.invalid', 'keywarden-canary.example.com'),
        ]),
      ),
      'agents.yaml': "agents:\n  - { id: '*', may_hold: ['*'], max_ttl: 1h }\n",
    };
    const copy = await startWranglerCopy(policies, vars);
    try {
      const operate = (path: string, body?: object) =>
        fetch(copy.url + path, {
          headers: { authorization: `Bearer ${operatorKey}` },
          ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
        });
      const minted = await operate('/v1/tokens', { agent_id: 'a', capabilities: [...ALL] });
      expect(minted.status, await (await fetch(`${copy.url}/healthz`)).text()).toBe(200);
      const { token } = (await minted.json()) as { token: string };
      const own = new Search([
        ...Object.entries(vars)
          .filter(([name]) => name in SECRETS)
          .map(([name, value]) => ({ name, value })),
        { name: 'the operator key', value: operatorKey },
        { name: 'the signing key', value: signing.d },
      ]);
      for (const path of [
        '/healthz',
        '/v1/audit',
        '/proxy/bank/v1/balance',
        '/proxy/queried/echo/x',
        '/proxy/aws/echo/x',
        '/proxy/bank/nothing',
      ]) {
        const key = path.startsWith('/proxy') ? token : operatorKey;
        const response = await fetch(copy.url + path, { headers: { authorization: `Bearer ${key}` } });
        own.in(`GET ${path}`, await response.text());
      }
      await copy.stop();
      expect(copy.output()).toMatch(/KEYWARDEN_SIGNING_KEY/);
      own.in('the output of wrangler', copy.output());
      own.inFiles(copy.directory, ['.dev.vars']);
      expect(own.bytes).toBeGreaterThan(1_000_000);
      expect(own.leaks).toEqual([]);
    } finally {
      await copy.stop().catch(() => {});
      copy.remove();
    }
  });
});
