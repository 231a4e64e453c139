import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkCondition } from '../../src/policy/conditions.ts';
import { type Asked, ask, form, json, policyOf, verdictOf } from './support.ts';

const when = (text: string, asked: Partial<Asked> = {}): string => {
  const policy = policyOf(`capabilities: { it: { allow: "POST /x/{id}", when: ${JSON.stringify(text)} } }`);
  return verdictOf(policy, { method: 'POST', path: '/x/7', ...asked });
};

describe('a missing field, null or another type denies', () => {
  it.each([
    ['a missing field', 'body.reason != "fraudulent"', {}],
    ['null', 'body.reason != "fraudulent"', { reason: null }],
    ['a number for text', 'body.reason != "fraudulent"', { reason: 5 }],
    ['a list for text', 'body.reason != "fraudulent"', { reason: ['fraudulent'] }],
    ['an object for text', 'body.reason != "fraudulent"', { reason: {} }],
    ['a number among words', '!(body.reason in ["a", "b"])', { reason: 5 }],
    ['null among words', '!(body.reason in ["a", "b"])', { reason: null }],
    ['a word where a list is searched', '!("x" in body.tags)', { tags: 'x' }],
    ['a mixed list', '!("x" in body.tags)', { tags: [5, 'y'] }],
    ['a mixed list behind what is found', '"x" in body.tags', { tags: ['x', 5] }],
    ['a number where names are searched', '!(body.n in query)', { n: 5 }],
    [
      'whole numbers whose product none holds',
      'body.a * body.b * body.b > 0',
      { a: 9007199254740991, b: 9007199254740991 },
    ],
    ['a product that is infinite', 'body.a * 1e308 > 0.0', { a: 10.5 }],
    ['a fraction of nothing', 'body.a / body.n > 0.0', { a: 1.5, n: 0 }],
    ['an object where a list is walked', 'body.items.all(i, i != "bad")', { items: { a: 'bad' } }],
    ['text where a number is compared', 'body.amount <= 5', { amount: '4' }],
    ['a truth where a number is compared', 'body.amount <= 5', { amount: true }],
    // biome-ignore lint/correctness/noPrecisionLoss: the loss is the point
    ['a number beyond 2^53, which others read otherwise', 'body.id != 9007199254740993', { id: 9007199254740993 }],
    ['a double of what is no number', 'double(body.n) != 1.0', { n: '1e3' }],
    ['a double of a truth', 'double(body.n) != 1.0', { n: true }],
    ['a list asked for a field', '!has(body.o.admin)', { o: [] }],
    ['a list for the whole body', '!has(body.amount) || body.amount <= 5', [{ amount: 9999 }]],
    ['text asked for a field', '!has(body.o.admin)', { o: 'x' }],
    // biome-ignore lint/correctness/noPrecisionLoss: the loss is the point
    ['two numbers beyond 2^53', 'body.a == body.b', { a: 9007199254740993, b: 9007199254749999 }],
    // biome-ignore lint/correctness/noPrecisionLoss: the loss is the point
    ['lists of numbers beyond 2^53', 'body.a == body.b', { a: [9007199254740993], b: [9007199254749999] }],
    ['the whole part of text', 'int(body.amount) <= 5', { amount: '5.9' }],
    ['a result that is no bool', 'body.flag', { flag: 'true' }],
    ['division by zero', '1 / body.n == 1 || 1 / body.n != 1', { n: 0 }],
  ])('%s', (_what, text, body) => {
    expect(when(text, json(body))).toBe('condition_unevaluable');
  });
});

describe('whatever JSON comes, a yes means what the condition says', () => {
  type Members = { [name: string]: unknown };
  const isMap = (value: unknown): value is Members =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const isText = (value: unknown): value is string => typeof value === 'string';
  const LAWS: Record<string, (body: Members) => boolean> = {
    '!has(body.a) || body.a <= 5': ({ a }) => a === undefined || (typeof a === 'number' && a <= 5),
    'has(body.a.b) ? body.a.b == "x" : true': ({ a }) => isMap(a) && (a['b'] === undefined || a['b'] === 'x'),
    'body.a == body.b': ({ a, b }) => JSON.stringify(a) === JSON.stringify(b) && a !== null && !isMap(a),
    'body.a != "x"': ({ a }) => isText(a) && a !== 'x',
    '!(body.a in ["x", "y"])': ({ a }) => isText(a) && !['x', 'y'].includes(a),
    '!("x" in body.a)': ({ a }) =>
      (Array.isArray(a) && a.every((one) => isText(one) && one !== 'x')) || (isMap(a) && !('x' in a)),
    'body.a.all(i, i > 0)': ({ a }) => Array.isArray(a) && a.every((one) => typeof one === 'number' && one > 0),
    'size(body.a) < 2': ({ a }) => (isText(a) ? [...a].length : Object.keys(a as object).length) < 2,
    'body.a.startsWith("x") || body.b': ({ a, b }) => b === true || (isText(a) && a.startsWith('x')),
  };
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom<unknown>(
        'x',
        'y',
        '',
        '5',
        'xx',
        null,
        true,
        false,
        0,
        1,
        5,
        6,
        -0,
        0.5,
        1e300,
        2 ** 53,
        2 ** 53 + 2,
        [],
      ),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'x', '__proto__'), tie('any'), { maxKeys: 3 }),
    ),
  })).any;

  it.each(Object.entries(LAWS))('%s', (text, says) => {
    const policy = policyOf(`capabilities: { it: { allow: POST /x, when: ${JSON.stringify(text)} } }`);
    const allowed = (body: unknown) => verdictOf(policy, { method: 'POST', path: '/x', ...json(body) }) === 'allow';
    let yes = 0;
    fc.assert(
      fc.property(fc.oneof(value, fc.record({ a: value, b: value }, { requiredKeys: [] })), (body) => {
        if (!allowed(body)) return;
        yes += 1;
        expect(isMap(body) && says(body)).toBe(true);
      }),
      { seed: 3, numRuns: 400 },
    );
    expect(yes).toBeGreaterThan(0);
  });
});

describe('what can be evaluated is', () => {
  it.each([
    ['an int against an int', 'body.amount <= 5000', { amount: 5000 }],
    ['a double against an int', 'body.amount <= 5000', { amount: 4999.5 }],
    ['an int against a double', 'body.temperature <= 1.0', { temperature: 1 }],
    ['arithmetic on ints', 'body.a + body.b * 2 == 7 && body.a % 2 == 1', { a: 1, b: 3 }],
    ['arithmetic on mixed numbers', 'body.a * 1.5 <= 3.0', { a: 2 }],
    ['an optional field that is absent', '!has(body.reason) || body.reason == "a"', {}],
    ['an optional field that is there', '!has(body.reason) || body.reason == "a"', { reason: 'a' }],
    ['null, when asked for', 'body.reason == null', { reason: null }],
    ['a field of a map in a map', 'has(body.o.p) && !has(body.o.q) && has(body.o.p.q)', { o: { p: { q: 1 } } }],
    ['a field of the items of a list', 'body.items.all(i, has(i.price))', { items: [{ price: 1 }, { price: 2 }] }],
    ['the whole part of a number', 'int(body.amount) <= 5', { amount: 5.9 }],
    ['a list', 'body.items.all(i, i.price <= 5) && size(body.items) < 3', { items: [{ price: 1 }, { price: 5 }] }],
    ['a member of a list', '"x" in body.tags', { tags: ['y', 'x'] }],
    ['the keys of the body', 'body.all(k, k in ["a", "b"])', { a: 1 }],
    [
      'a field named constructor',
      'body.constructor.prototype == 1 && !has(body.toString)',
      { constructor: { prototype: 1 } },
    ],
    ['precedence', 'body.a - (body.b - body.c) == 2', { a: 3, b: 2, c: 1 }],
    ['a double of an int', 'double(body.a) / 2.0 == 0.5', { a: 1 }],
    ['a double of the text of a number', 'double(body.a) <= 1.5', { a: '1.25' }],
    ['a ternary', '(body.a == 1 ? body.b : body.c) == 2', { a: 1, b: 2, c: 3 }],
  ])('%s', (_what, text, body) => {
    expect(when(text, json(body))).toBe('allow');
  });

  it('what does not hold is unmet, not unevaluable', () => {
    expect(when('body.amount <= 5000', json({ amount: 5001 }))).toBe('condition_unmet');
  });
});

it.each([
  ['headers["x-limit"] <= 100', 'allow'],
  ['100 < headers["x-limit"]', 'condition_unmet'],
])('the text of a header is read as the number that it is compared with: %s', (text, verdict) => {
  expect(when(text, { headers: { 'x-limit': '50' } })).toBe(verdict);
});

describe('text without a type compares with a number by its plain decimal spelling', () => {
  it.each([
    ['amount=4000', 'allow'],
    ['amount=-1', 'allow'],
    ['amount=4999.5', 'allow'],
    ['amount=5001', 'condition_unmet'],
    ['amount=-123456789012345', 'allow'],
    ['amount=-1234567890123456', 'condition_unevaluable'],
    ['amount=0x10', 'condition_unevaluable'],
    ['amount=1e3', 'condition_unevaluable'],
    ['amount=+5', 'condition_unevaluable'],
    ['amount=05', 'condition_unevaluable'],
    ['amount=', 'condition_unevaluable'],
    ['amount=%204', 'condition_unevaluable'],
    ['amount=4_0', 'condition_unevaluable'],
    ['amount=NaN', 'condition_unevaluable'],
  ])('form %s: %s', (body, verdict) => {
    expect(when('body.amount <= 5000', form(body))).toBe(verdict);
    expect(when('5000 >= body.amount', form(body))).toBe(verdict);
    expect(when('!(body.amount > 5000)', form(body))).toBe(verdict);
  });

  it.each([
    ['query.limit <= 100', 'limit=50', 'allow'],
    ['100 >= query.limit', 'limit=50', 'allow'],
    ['100 >= query.limit', 'limit=500', 'condition_unmet'],
    ['query.limit <= 100', 'limit=500', 'condition_unmet'],
    ['int(query.limit) <= 100', 'limit=50', 'allow'],
    ['int(query.limit) <= 100', 'limit=', 'condition_unevaluable'],
    ['int(query.limit) <= 100', 'limit=0X1', 'condition_unevaluable'],
    ['query.deep == false', 'deep=false', 'allow'],
    ['query.a + query.b <= 10', 'a=1&b=2', 'condition_unevaluable'],
    ['query.a < query.b', 'a=9&b=10', 'condition_unevaluable'],
  ])('%s with ?%s: %s', (text, query, verdict) => {
    expect(when(text, { query })).toBe(verdict);
  });

  it('form text stays text for text', () => {
    expect(when('body.zip == "01234" && body.zip.startsWith("0")', form('zip=01234'))).toBe('allow');
  });
});

describe('the query is read strictly', () => {
  it.each(['a=1&a=2', 'a=1&%61=2', 'a=%zz', 'a=1;b=2', 'a=%00'])(
    '?%s is unevaluable for a rule that reads it',
    (query) => {
      expect(when('!("b" in query)', { query })).toBe('condition_unevaluable');
      expect(when('agent == "a"', { query })).toBe('allow');
    },
  );
});

describe('the variables', () => {
  it.each([
    ['method == "POST" && path == "/x/7"', {}],
    ['params.id == "7" && params.id == 7', {}],
    ['params.id == "a b"', { path: '/x/a%20b' }],
    ['headers["content-type"] == "text/plain"', { headers: { 'Content-Type': 'text/plain' } }],
    ['"authorization" in headers', { headers: { Authorization: 'Bearer s' } }],
    ['agent == "bot" && session == "s1"', { agent: 'bot', session: 's1' }],
    ['session == null', {}],
    ['now < timestamp("2026-01-01T00:00:00Z") && now.getHours() == 1', { now: 3_600_000 }],
    ['now + duration("1h") > timestamp("1970-01-01T00:30:00Z")', {}],
  ] as [string, Partial<Asked>][])('%s', (text, asked) => {
    expect(when(text, asked)).toBe('allow');
  });

  it('a credential field can be seen to be there, and not be read by any way', () => {
    const headers = { Authorization: 'Bearer s', 'X-Api-Key': 's' };
    expect(when('headers.exists(h, headers[h] == "s")', { headers })).toBe('condition_unevaluable');
    expect(when('headers.exists(h, headers[h].startsWith("s"))', { headers })).toBe('condition_unevaluable');
    expect(when('headers.exists(h, string(headers[h]) == "s")', { headers })).toBe('condition_unevaluable');
  });
});

describe('evidence holds policy text, never the request', () => {
  it.each([
    ['bool(body.secret)', json({ secret: 'CANARY' })],
    ['body[body.secret] == 1', json({ secret: 'CANARY' })],
    ['"a".matches(body.secret)', json({ secret: 'CANARY(' })],
    ['int(body.secret) == 1', json({ secret: 'CANARY' })],
    ['body.secret <= 5', form('secret=CANARY')],
    ['timestamp(body.secret) < now', json({ secret: 'CANARY' })],
  ])('%s', (text, asked) => {
    const policy = policyOf(`capabilities: { it: { allow: POST /x, when: ${JSON.stringify(text)} } }`);
    const decision = ask(policy, { method: 'POST', path: '/x', ...asked });
    expect(decision.ok).toBe(false);
    expect(JSON.stringify(decision)).not.toContain('CANARY');
  });
});

describe('what is wrong is found before anything runs', () => {
  it.each([
    ['body.a +', 8, 'Unexpected token'],
    ['bdy.a == 1', 0, "unknown variable 'bdy'"],
    ['true && agent == 5', 8, 'no such overload'],
    ['body.a.frob(1)', 0, 'no matching overload'],
    ['"text"', 0, 'not a bool'],
    ['headers["Content-Type"] == "x"', 0, 'lower case'],
    ['headers["authorization"] == "x"', 0, 'may carry a credential'],
    ['agent.matches("(")', 14, 'regular expression'],
    ['agent.matches("[[:alpha:]]+")', 14, 'than in RE2'],
    ['agent.matches("\\\\Aevil\\\\z")', 14, 'than in RE2'],
    ['agent.matches("\\\\Qa.b\\\\E")', 14, 'than in RE2'],
    ['agent.matches("^\\\\pL+$")', 14, 'than in RE2'],
    ['agent.matches("^\\\\p{L}+$")', 14, 'than in RE2'],
    ['agent.matches("^a{,5}$")', 14, 'than in RE2'],
    ['agent.matches("^[]a]$")', 14, 'than in RE2'],
    ['body.all(query, query == "x")', 9, 'hides'],
    ['strict_eq(1, 1, true)', 0, 'no matching overload'],
    ['cel.bind(x, 1, x == 1)', 0, "'cel.'"],
    ['', 0, 'empty'],
  ])('%s', (text, offset, message) => {
    const checked = checkCondition(text);
    expect(checked).toMatchObject({
      ok: false,
      error: { offset, message: expect.stringContaining(message), fix: expect.stringMatching(/./) },
    });
  });

  it.each([
    ['method', 'method == "GET"'],
    ['path', 'path == "/"'],
    ['params', '"a" in params'],
    ['query', '"a" in query'],
    ['headers', '"a" in headers'],
    ['body', 'body == 1'],
    ['agent', 'agent == "a"'],
    ['session', 'session == null'],
    ['now', 'now > timestamp("2026-01-01T00:00:00Z")'],
  ])('it is known who reads %s, and no loop variable may hide it', (name, text) => {
    const checked = checkCondition(text);
    expect(checked.ok && [...checked.value.reads]).toEqual([name]);
    expect(checkCondition(`params.exists(${name}, ${name} == "a")`)).toMatchObject({
      ok: false,
      error: { message: `the loop variable hides '${name}'`, offset: 14 },
    });
  });

  it.each([
    ['^[A-Za-z0-9_.+-]{1,64}$', 'a.b+c', 'a b'],
    ['^[CG][A-Z0-9]{8,}$', 'C12345678', 'x12345678'],
    ['\\\\.git$', 'x.git', 'xgit'],
    ['^[\\\\w\\\\-]+\\\\@[^@]+$', 'a-b@c', 'a@b@c'],
    ['^\\\\\\\\p$', '\\p', 'p'],
    ['^(?:a|b)+?\\\\/c$', 'ab/c', '/c'],
  ])('a pattern that means one thing is taken: %s', (pattern, fits, other) => {
    const text = `body.it.matches("${pattern}")`;
    expect(when(text, json({ it: fits }))).toBe('allow');
    expect(when(text, json({ it: other }))).toBe('condition_unmet');
  });

  it('a condition is no longer than a person reads', () => {
    expect(checkCondition(`agent == "${'a'.repeat(3_989)}"`).ok).toBe(true);
    expect(checkCondition(`agent == "${'a'.repeat(3_990)}"`)).toMatchObject({
      ok: false,
      error: { message: 'the condition is longer than 4,000 characters' },
    });
  });

  it('which variables it reads', () => {
    const checked = checkCondition('agent == "a" && query.exists(k, k == params.id)');
    expect(checked.ok && [...checked.value.reads].sort()).toEqual(['agent', 'params', 'query']);
    expect(checked.ok && checked.value.needsBody).toBe(false);
    const body = checkCondition('has(body.a)');
    expect(body.ok && body.value.needsBody).toBe(true);
  });
});
