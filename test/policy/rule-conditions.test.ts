import { describe, expect, it } from 'vitest';
import type { PolicyProblem } from '../../src/policy/compile.ts';
import { problemsOf, serviceYaml } from './support.ts';

/** The problems of one capability, given as YAML in one line. */
const of = (capability: string): PolicyProblem[] => problemsOf(serviceYaml(`capabilities: { it: ${capability} }`));
const said = (capability: string): string[] => of(capability).map(({ message, fix }) => `${message}; ${fix}`);

const entry = (match: string, when: string): string =>
  `{ allow: { match: ${JSON.stringify(match)}, when: ${JSON.stringify(when)} } }`;
const whole = (allow: readonly string[], when: string): string =>
  `{ allow: ${JSON.stringify(allow)}, when: ${JSON.stringify(when)} }`;

describe('a name that the template lacks cannot be read', () => {
  it.each([
    ['params.itm == "1"', "did you mean 'params.item'?"],
    ['params["itm"] == "1"', "did you mean 'params.item'?"],
    ['params.ITEM == "1"', "did you mean 'params.item'?"],
    ['params.owner == "1"', 'known here: params.item; or write {owner} into the template'],
    ['params.x.startsWith("a")', 'write {x} into the template'],
    ['query.a == "1" && params.itm == "1"', "did you mean 'params.item'?"],
    ['query.a == "1" || params.itm == "1"', "did you mean 'params.item'?"],
    ['query.all(k, k == params.itm)', "did you mean 'params.item'?"],
    ['size(query) > 0 ? params.itm == "1" : true', "did you mean 'params.item'?"],
    ['params.itm == "1" ? true : true', "did you mean 'params.item'?"],
    ['!has(params.itm.x)', "did you mean 'params.item'?"],
  ])('%s', (when, fix) => {
    expect(said(entry('GET /{item}', when))).toEqual([expect.stringContaining(fix)]);
  });

  it('the message names the rule, what it lacks and what comes of it', () => {
    expect(said(entry('GET /{item}', 'params.itm == "1"'))).toEqual([
      "params.itm cannot be read: 'GET /{item}' has no {itm}, so the rule can never allow; did you mean 'params.item'?",
    ]);
    expect(said('{ allow: GET /x, deny: { match: GET /y, when: params.id == "1" } }')).toEqual([
      "params.id cannot be read: 'GET /y' has no {id}, so the rule always denies; write {id} into the template",
    ]);
    expect(said('{ allow: "GET /{a}", approval: { when: params.id == "1" } }')).toEqual([
      "params.id cannot be read: 'GET /{a}' has no {id}, so a person is always asked; known here: params.a; or write {id} into the template",
    ]);
  });

  it('no consequence is claimed where another part may still decide', () => {
    expect(of(entry('GET /{item}', 'query.a == "1" || params.itm == "1"'))[0]?.message).toBe(
      "params.itm cannot be read: 'GET /{item}' has no {itm}",
    );
  });

  it('it stands at the name, in the denials of the service too', () => {
    const text = serviceYaml(
      'deny:\n  - match: GET /{a}\n    when: "true && params.b == \'1\'"\ncapabilities: { r: { allow: GET /x } }\n',
    );
    expect(problemsOf(text)).toEqual([
      expect.objectContaining({ line: 6, column: 27, message: expect.stringContaining('params.b') }),
    ]);
  });

  it('each name is told once, and every name', () => {
    expect(of(entry('GET /{item}', 'params.x == "1" || params.x == "2" || params.y == "3"'))).toHaveLength(2);
  });
});

describe('what asks first can be evaluated', () => {
  it.each([
    '"x" in params',
    '!("x" in params) || params.x == "1"',
    'has(params.x)',
    'has(params.x) && params.x == "1"',
    'params.x == "1" && has(params.x)',
    '!has(params.x) || params.x == "1"',
    'has(params.x) ? params.x == "1" : false',
    '!(has(params.x) && params.x == "1")',
    'params.exists(name, params[name] == "1")',
    'size(params) == 0 || params[path] == "1"',
    'params.item == "1" && "x" in query',
    'method != "GET" || params.item == "1"',
  ])('%s', (when) => {
    expect(said(entry('GET /{item}', when))).toEqual([]);
  });
});

describe("a capability's own condition must be evaluable for each of its rules", () => {
  it('those that lack a name are named', () => {
    expect(said(whole(['GET /a/{id}', 'GET /b', 'POST /c'], 'params.id == "1"'))).toEqual([
      "params.id cannot be read: 'GET /b' and 'POST /c' have no {id}, so the condition can never allow them; give it to the entries with {id} alone (match: …, when: …), or say what holds without it: has(params.id) ? … : false",
    ]);
  });

  it('and one that has it under a near name', () => {
    expect(said(whole(['GET /a/{item}', 'GET /b/{itm}'], 'params.item == "1"'))).toEqual([
      expect.stringContaining("did you mean {item} in 'GET /b/{itm}', where {itm} stands?"),
    ]);
  });

  it('the same for the condition of its approval', () => {
    expect(said('{ allow: ["GET /a/{id}", GET /b], approval: { when: params.id == "1" } }')).toEqual([
      expect.stringContaining("'GET /b' has no {id}, so a person is always asked about it"),
    ]);
  });

  it.each([
    ['the name is asked for first', 'has(params.id) ? params.id == "1" : false'],
    ['the method tells the rules apart', 'method == "POST" || params.id == "1"'],
    ['the method tells the rules apart, in a list', 'method in ["POST", "PUT"] || params.id == "1"'],
    ['the request may decide otherwise', 'path == "/b" || params.id == "1"'],
    ['an item of an empty list is never asked', 'query.all(k, k == params.id)'],
  ])('no problem where %s', (_what, when) => {
    expect(said(whole(['GET /a/{id}', 'POST /b'], when))).toEqual([]);
  });

  it('a list that is never empty is asked', () => {
    expect(of(whole(['GET /a/{id}', 'POST /b'], '["a", "b"].exists(x, params.id == x)'))).toHaveLength(1);
  });

  it('one whose entries cannot all be read is not judged', () => {
    expect(said(whole(['GET /a/{id}', 'GET b'], 'params.ix == "1"'))).toEqual([expect.stringContaining("write '/b'")]);
  });
});

describe('a method without a body has none to read', () => {
  it.each([
    ['GET /x', 'body.a == 1'],
    ['HEAD /x', 'has(body.a)'],
    ['GET|HEAD /x', '!has(body.a)'],
    ['GET /x', 'body.all(k, k == "a")'],
    ['GET /x', 'query.a == "1" || body.a == 1'],
    ['GET /x', 'body == null'],
  ])('%s when %s', (match, when) => {
    expect(said(entry(match, when))).toEqual([expect.stringMatching(/^body cannot be read: .* name a method/)]);
  });

  it.each([
    ['POST /x', 'body.a == 1'],
    ['DELETE /x', 'body.a == 1'],
    ['* /x', 'body.a == 1'],
    ['GET|POST /x', 'method == "GET" || body.a == 1'],
    ['GET|HEAD|POST /x', 'method in ["GET", "HEAD"] || body.a == 1'],
    ['GET|POST /x', 'method != "POST" || body.a == 1'],
    ['GET|POST /x', '!(method == "POST" && body.a == 1)'],
    ['GET /x', 'method == "GET" || body.a == 1'],
  ])('%s when %s is right', (match, when) => {
    expect(said(entry(match, when))).toEqual([]);
  });

  it('the message says which and what to write', () => {
    expect(said(entry('GET|HEAD /x', 'body.a == 1'))).toEqual([
      "body cannot be read: 'GET /x' and 'HEAD /x' have none (a GET or HEAD with a body is refused), so the rule can never allow; ask query, params or headers instead, or name a method that has a body",
    ]);
    expect(said(whole(['GET /x', 'POST /x'], 'body.a == 1'))).toEqual([
      'body cannot be read: \'GET /x\' has none (a GET or HEAD with a body is refused), so the condition can never allow it; give it to the entries with a body alone (match: …, when: …), or ask the method first: method == "GET" || …',
    ]);
    expect(said('{ allow: [GET|HEAD /x, POST /x], approval: { when: body.a > 1 } }')).toEqual([
      expect.stringContaining('or ask the method first: !(method in ["GET", "HEAD"]) && …'),
    ]);
  });

  it('a denial of GET covers HEAD, so the method alone does not settle it', () => {
    const deny = (when: string) => said(`{ allow: POST /y, deny: { match: GET /x, when: ${JSON.stringify(when)} } }`);
    expect(deny('body.a == 1')).toEqual([expect.stringContaining('so the rule always denies')]);
    expect(deny('method == "GET" || body.a == 1')).toHaveLength(1);
    expect(deny('method != "POST" || body.a == 1')).toEqual([]);
  });
});

describe('all problems come at once', () => {
  it('beside what is wrong elsewhere in the file', () => {
    expect(
      said('{ allow: GET /x, limti: 1/s, when: body.a == 1, approval: { when: params.id == "1", cuont: 1 } }'),
    ).toEqual([
      expect.stringContaining('limti'),
      expect.stringContaining('body cannot be read'),
      expect.stringContaining('params.id cannot be read'),
      expect.stringContaining('cuont'),
    ]);
  });
  it('a condition with other mistakes is told those first', () => {
    expect(said(entry('GET /x', 'body.a == 1 && nope'))).toEqual([expect.stringContaining("unknown variable 'nope'")]);
  });
});
