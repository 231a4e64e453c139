import { describe, expect, it } from 'vitest';
import { explainAccess } from '../../src/policy/explain.ts';
import { runFixtures } from '../../src/policy/fixtures.ts';
import type { SupposedRequest } from '../../src/policy/judge.ts';
import { editorSchemas } from '../../src/policy/schema.ts';
import { bundleOf, serviceYaml } from './support.ts';

const bundle = bundleOf(
  serviceYaml(
    'capabilities: { read: { allow: GET /balance }, refund: { allow: POST /refunds, when: body.amount <= 50, approval: { when: body.amount > 10 } } }',
  ),
);
const run = (cases: string, service = 'pay') =>
  runFixtures(bundle, [{ name: 'tests/pay.yaml', text: `service: ${service}\ncases:\n${cases}` }]);

describe('fixtures', () => {
  it.each([
    '- { name: x, can: [pay:read], request: GET /balance, expect: allow, capability: pay:read }',
    '- { name: x, can: [], request: GET /balance, expect: deny, reason: capability_missing }',
    '- { name: x, can: [pay:refund], request: POST /refunds, body: { amount: 5 }, expect: allow }',
    '- { name: x, can: [pay:refund], request: POST /refunds, body: { amount: 11 }, expect: approval }',
    '- { name: x, can: [pay:refund], request: POST /refunds, content_type: application/x-www-form-urlencoded, body: amount=51, expect: deny, reason: condition_unmet }',
    '- { name: x, can: [pay:read], request: "GET /a/../balance", expect: deny, reason: path_refused }',
  ])('%s passes', (text) => {
    expect(run(text)).toEqual([{ file: 'tests/pay.yaml', line: 3, name: 'x', passed: true, message: '' }]);
  });

  it.each([
    ['- { name: x, can: [pay:read], request: GET /balance, expect: deny }', 'expected deny, got allow'],
    [
      '- { name: x, can: [], request: GET /balance, expect: deny, reason: rule_denied }',
      'expected the reason rule_denied',
    ],
    [
      '- { name: x, can: [pay:read], request: GET /balance, expect: allow, capability: pay:refund }',
      'expected the capability pay:refund',
    ],
    ['- { name: x, can: [pay:nope], request: GET /balance, expect: deny }', "no policy has the capability 'pay:nope'"],
    ['- { name: x, can: [], request: nonsense, expect: deny }', 'no request line'],
    ['- { name: x, can: [], request: GET /x, expext: deny, expect: deny }', "did you mean 'expect'?"],
  ])('%s fails at its line', (text, message) => {
    const [result] = run(text);
    expect(result).toMatchObject({ passed: false, line: 3, message: expect.stringContaining(message) });
  });

  it('of an unknown service fail', () => {
    expect(run('- { name: x, can: [], request: GET /x, expect: deny }', 'nope')[0]).toMatchObject({ passed: false });
  });
});

describe('an explanation', () => {
  const asked: SupposedRequest = {
    service: 'pay',
    method: 'POST',
    target: '/refunds',
    can: ['pay:refund'],
    agent: 'a',
    session: null,
    headers: new Map([['content-type', 'application/json']]),
    body: '{"amount":60}',
    now: 0,
  };
  it('says what fits, what is held, what each condition is, and the verdict', () => {
    const explanation = explainAccess(bundle, asked, true);
    expect(explanation).toMatchObject({
      verdict: 'deny',
      denial: { kind: 'condition_unmet' },
      path: '/refunds',
      notGrantable: [],
    });
    expect(explanation.rules).toEqual([
      {
        effect: 'allow',
        capability: 'pay:refund',
        operation: 'POST /refunds',
        held: true,
        conditions: [
          { text: 'body.amount <= 50', value: false, why: null },
          { text: 'approval when body.amount > 10', value: true, why: null },
        ],
      },
    ]);
    expect(explanation.words.at(-1)).toContain('Denied: pay:refund wants body.amount <= 50');
  });
  it('says when such a token could not be had', () => {
    expect(explainAccess(bundle, { ...asked, body: '{"amount":1}' })).toMatchObject({
      verdict: 'allow',
      notGrantable: ['pay:refund'],
    });
  });
  it('names what cannot be evaluated', () => {
    expect(explainAccess(bundle, { ...asked, body: '{}' }, true).rules[0]?.conditions[0]).toEqual({
      text: 'body.amount <= 50',
      value: 'unevaluable',
      why: 'no such key: amount',
    });
  });
});

describe('the schemas for editors', () => {
  it('describe every field', () => {
    const bare: string[] = [];
    const walk = (schema: unknown, path: string): void => {
      if (typeof schema !== 'object' || schema === null) return;
      for (const [key, value] of Object.entries(schema)) {
        if (key === 'properties')
          for (const [name, field] of Object.entries(value as Record<string, { description?: string }>))
            if (field.description === undefined) bare.push(`${path}.${name}`);
        walk(value, key === 'properties' ? path : `${path}.${key}`);
      }
    };
    const { service, agents } = editorSchemas();
    walk(service, 'service');
    walk(agents, 'agents');
    expect(bare.filter((path) => !/\.(match)$/.test(path))).toEqual([]);
    expect(JSON.stringify(service)).toContain('draft-07');
  });
});
