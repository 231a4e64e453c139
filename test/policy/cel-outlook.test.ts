import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Outlook, outlookOf, type RuleView } from '../../src/policy/cel-outlook.ts';
import { checkCondition, syntaxOf } from '../../src/policy/conditions.ts';
import { RequestContext } from '../../src/policy/facts.ts';

/** `GET /…/{id}`: no {x}, no body. */
const RULE: RuleView = { methods: new Set(['GET']), names: new Set(['id']), hasBody: false };

function outlook(text: string, rule = RULE): Outlook {
  const tree = syntaxOf(text);
  if (tree === null) throw new Error(`${text} does not compile`);
  return outlookOf(tree, rule);
}

function evaluated(text: string, request: { query: string; agent: string }): string {
  const checked = checkCondition(text);
  if (!checked.ok) throw new Error(checked.error.message);
  const context = new RequestContext('GET', '/v1/7', { ...request, headers: [], session: null, now: 0 });
  const held = checked.value.evaluate(context.withParams(new Map([['id', '7']])));
  return held.ok ? String(held.value) : 'unevaluable';
}

const atom = fc.constantFrom(
  'true',
  'false',
  'method == "GET"',
  '"GET" != method',
  'method in ["HEAD", "POST"]',
  'has(params.id)',
  'has(params.x)',
  '"x" in params',
  'params.id == "7"',
  'params.x == "7"',
  'params["x"] != agent',
  'has(params.x.y)',
  'body.a == 1',
  'has(body.a)',
  'agent == "a"',
  'query.q == "1"',
  '"q" in query',
  'size(query) == 0',
  '["a"].exists(k, k == params.x)',
  'query.all(k, k == params.x)',
  'query.exists(k, body[k] == 1)',
);
const condition = fc.letrec<{ one: string }>((tie) => ({
  one: fc.oneof(
    { maxDepth: 4, depthSize: 'medium' },
    atom,
    fc.tuple(tie('one'), fc.constantFrom('&&', '||', '=='), tie('one')).map(([a, op, b]) => `(${a}) ${op} (${b})`),
    tie('one').map((a) => `!(${a})`),
    fc.tuple(tie('one'), tie('one'), tie('one')).map(([a, b, c]) => `(${a}) ? (${b}) : (${c})`),
  ),
})).one;
const request = fc.record({
  query: fc.constantFrom('', 'q=1', 'q=2', 'id=7', 'q=1&q=2'),
  agent: fc.constantFrom('a', 'x', '7'),
});

describe('what a rule settles by itself', () => {
  it('is what every request gets', () => {
    fc.assert(
      fc.property(condition, request, (text, asked) => {
        const { value } = outlook(text);
        if (value !== 'open') expect(evaluated(text, asked)).toBe(value);
      }),
      { numRuns: 5000 },
    );
  });

  it('has no dead read in what it decides by a certain value', () => {
    fc.assert(
      fc.property(condition, (text) => {
        const { value, dead } = outlook(text);
        if (value === 'unevaluable') expect(dead).not.toEqual([]);
        if (value === 'true' || value === 'false') expect(dead).toEqual([]);
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    ['method == "POST"', 'false'],
    ['method != "POST"', 'true'],
    ['method in ["GET", "PUT"]', 'true'],
    ['method == agent', 'open'],
    ['params.x == "1"', 'unevaluable'],
    ['params.x == "1" || agent == "a"', 'open'],
    ['agent == "a" && has(params.x)', 'false'],
  ])('%s is %s', (text, value) => {
    expect(outlook(text).value).toBe(value);
  });

  it('a method is settled only when it is so for all that the rule is for', () => {
    const both = { ...RULE, methods: new Set(['GET', 'HEAD']) };
    expect(outlook('method == "GET"', both).value).toBe('open');
    expect(outlook('method == "POST"', both).value).toBe('false');
    expect(outlook('method in ["HEAD", "GET"]', both).value).toBe('true');
  });

  it('a dead read is told with its place', () => {
    expect(outlook('agent == "params" && params . x == "1" && body.b == params["y"]').dead).toEqual([
      { of: 'params', name: 'x', offset: 30 },
      { of: 'body', name: 'body', offset: 42 },
      { of: 'params', name: 'y', offset: 60 },
    ]);
  });
});
