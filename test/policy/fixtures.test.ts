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
const all = (cases: string, service = 'pay') =>
  runFixtures(bundle, [{ name: 'tests/pay.yaml', text: `service: ${service}\ncases:\n${cases}` }]);
const run = (cases: string) => all(cases).results;

describe('fixtures', () => {
  it.each([
    '- { name: x, can: [pay:read], request: GET /balance, expect: allow, capability: pay:read }',
    '- { name: x, can: [], request: GET /balance, expect: deny, reason: capability_missing }',
    '- { name: x, can: [pay:refund], request: POST /refunds, body: { amount: 5 }, expect: allow }',
    '- { name: x, can: [pay:refund], request: POST /refunds, body: { amount: 11 }, expect: approval }',
    '- { name: x, can: [pay:refund], request: POST /refunds, content_type: application/x-www-form-urlencoded, body: amount=51, expect: deny, reason: condition_unmet }',
    '- { name: x, can: [pay:read], request: "GET /a/../balance", expect: deny, reason: path_refused }',
    '- { name: x, can: [pay:read], request: GET /balance, headers: { X-HTTP-Method-Override: POST }, expect: deny, reason: header_refused }',
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
    ['- { name: x, can: [pay:raed], request: GET /balance, expect: deny }', "did you mean 'pay:read'?"],
    [
      '- { name: x, can: [pay:refund], request: POST /refunds, body: { amount: 60 }, expect: allow }',
      'expected allow, got deny, condition_unmet: pay:refund wants body.amount <= 50',
    ],
    [
      '- { name: x, can: [pay:read], request: GET /balance, body: a, expect: allow }',
      'got deny, header_refused: the header content-length is refused: a GET with a body',
    ],
  ])('%s fails at its line', (text, message) => {
    const [result] = run(text);
    expect(result).toMatchObject({ passed: false, line: 3, message: expect.stringContaining(message) });
  });

  it.each([
    ['- { name: x, can: [], request: nonsense, expect: deny }', 'no request line', 32],
    ['- { name: x, can: [], request: GET /x, expext: deny, expect: deny }', "unknown field 'expext'", 40],
    ['- { name: "x, can: [] }', 'the quote that opens here is never closed', 11],
  ])('%s is a problem of the file, at its place', (text, message, column) => {
    expect(all(text)).toMatchObject({ results: [], problems: [{ file: 'tests/pay.yaml', line: 3, column, message }] });
  });

  it('of an unknown service are one problem', () => {
    const cases = '- { name: x, can: [], request: GET /x, expect: deny }\n'.repeat(3);
    expect(all(cases, 'payy')).toMatchObject({
      results: [],
      problems: [{ line: 1, column: 10, message: "no policy has the service 'payy'", fix: "did you mean 'pay'?" }],
    });
  });

  it('a file that could not be read is a problem', () => {
    expect(runFixtures(bundle, [{ name: 'tests/a.yaml', why: 'it is a directory', fix: 'mend it' }])).toMatchObject({
      problems: [{ file: 'tests/a.yaml', message: 'cannot be read: it is a directory' }],
    });
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
  it('says when such a token could not be had, and why', () => {
    const allowed = { ...asked, body: '{"amount":1}' };
    const explained = explainAccess(bundle, allowed);
    expect(explained).toMatchObject({ verdict: 'allow', notGrantable: ['pay:refund'] });
    expect(explained.words.at(-1)).toContain('there is no agents.yaml');
    const agents = { source: 'file' as const, grants: [] };
    expect(explainAccess({ ...bundle, agents }, allowed).words.at(-1)).toContain('agents.yaml does not let a hold');
  });
  it('an approval’s condition is told as one', () => {
    expect(explainAccess(bundle, { ...asked, body: '{"amount":11}' }, true).words).toContain(
      '    approval when body.amount > 10: holds',
    );
  });
  it('a method in lower case is told its spelling', () => {
    expect(explainAccess(bundle, { ...asked, method: 'post' }, true).words.at(-1)).toBe(
      'Denied: methods are upper case: POST.',
    );
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
