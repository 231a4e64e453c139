import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compilePolicies } from '../../src/policy/compile.ts';
import { runFixtures } from '../../src/policy/fixtures.ts';
import { bundleOf, problemsOf } from './support.ts';

/** A file of which only the given lines are of interest; they begin in line 4. */
const file = (lines: string): string =>
  `service: pay\norigin: https://api.example.com\ncredential: { scheme: bearer, secret: PAY_KEY }\n${lines}`;

const told = (text: string): string[] =>
  problemsOf(text).map(({ line, column, message, fix }) => `${line}:${column} ${message}; ${fix}`);

describe('one slip in the YAML is one problem, where it was made, with what to write', () => {
  it.each([
    [
      'a name in braces in a list',
      'capabilities:\n  r:\n    allow: [GET /v1/{path+}, POST /v1/{id}/y]\n  s:\n    allow: [GET /v2/{id}]\n',
      '6:21 within [ ] and { }, { ends a text without quotes; put the rule in quotes: "GET /v1/{path+}"',
    ],
    [
      'a name in braces in a mapping, which loses the rest of the file',
      'capabilities:\n  r: { allow: GET|HEAD /v1/{id} }\n  s:\n    allow: GET /x\n    limit: 1/s\n',
      '5:28 within [ ] and { }, { ends a text without quotes; put the rule in quotes: "GET|HEAD /v1/{id}"',
    ],
    [
      'the same without a space before the end',
      'capabilities: {r: {allow: [GET /v1/{id}]}}\n',
      '4:36 within [ ] and { }, { ends a text without quotes; put the rule in quotes: "GET /v1/{id}"',
    ],
    [
      'a condition with brackets in a mapping',
      'capabilities:\n  r: { allow: POST /x, when: body.x in ["a"] }\n  s:\n    allow: GET /x\n',
      '5:40 within [ ] and { }, [ ends a text without quotes; put the whole value in quotes',
    ],
    [
      'a rule that begins with *',
      'deny:\n  - * /v1/keys/{rest+}\ncapabilities:\n  r:\n    allow: GET /x\n',
      '5:5 a value that begins with * is an alias in YAML; put the rule in quotes: "* /v1/keys/{rest+}"',
    ],
    [
      'one in a list in brackets',
      'capabilities:\n  r:\n    allow: [* /v1, GET /x]\n  s:\n    allow: GET /x\n',
      '6:13 a value that begins with * is an alias in YAML; put the rule in quotes: "* /v1"',
    ],
    [
      'one without the space',
      'deny: */v1/keys\ncapabilities:\n  r:\n    allow: GET /x\n',
      '4:7 a value that begins with * is an alias in YAML; put the rule in quotes: "* /v1/keys"',
    ],
    [
      'a star for everything',
      'title: *\ncapabilities:\n  r:\n    allow: GET /x\n',
      '4:8 a value that begins with * is an alias in YAML; put it in quotes: "*"',
    ],
    [
      'a word after a star',
      'title: *x and more\ncapabilities:\n  r:\n    allow: GET /x\n',
      '4:8 a value that begins with * is an alias in YAML; put it in quotes: "*"',
    ],
    [
      'a tab',
      'capabilities:\n  r:\n\tallow: GET /x\n\twhen: "true"\n  s:\n    allow: GET /x\n',
      '6:1 a tab indents this line; indent with spaces: YAML takes no tabs there',
    ],
    [
      'a quote that is not closed',
      'capabilities:\n  r:\n    allow: "GET /v1\n    limit: 1/s\n',
      '6:12 the quote that opens here is never closed; close it',
    ],
    [
      'one that a later quote closes',
      'capabilities:\n  r:\n    allow: POST /x\n    when: "body.a\n      == 1\n      && body.b == "x"\n',
      '7:11 the quote that opens here closes only in line 9, and more text follows there; close it where its text ends',
    ],
    [
      'text after a quote',
      'capabilities:\n  r:\n    allow: POST /x\n    when: "token" in query\n  s:\n    allow: GET /x\n',
      `7:19 more text follows after the closing quote; put the whole value in single quotes, as in when: '"a" in query'`,
    ],
    [
      'text after a single quote',
      "capabilities:\n  r:\n    allow: POST /x\n    when: 'token' in query\n",
      `7:19 more text follows after the closing quote; put the whole value in double quotes, as in when: "'a' in query"`,
    ],
    [
      'text after a list',
      'capabilities:\n  r:\n    allow: POST /x\n    when: ["a"].exists(k, k == body.x)\n',
      '7:16 more text follows after the closing ]; put the whole value in quotes',
    ],
    [
      'a condition that begins with !',
      'capabilities:\n  r:\n    allow: POST /x\n    when: !has(body.x)\n',
      "7:11 a value that begins with ! is a tag in YAML; put the whole value in single quotes, as in when: '!has(body.x)'",
    ],
    [
      'a colon and a space in a text',
      'capabilities:\n  r:\n    title: Read: the balance\n    allow: GET /x\n',
      "6:16 a ': ' in a text without quotes ends a field's name; put the whole value in quotes",
    ],
    [
      'a colon and a space in a rule',
      'capabilities:\n  r:\n    allow: GET /x: y\n',
      `6:18 a ': ' in a text without quotes ends a field's name; put the rule in quotes: "GET /x"`,
    ],
    [
      'a colon in a further line of a text',
      'capabilities:\n  r:\n    allow: POST /x\n    when: body.a == 1\n      && body.b: 2\n',
      "8:16 a ': ' in a text without quotes ends a field's name; put the whole value in quotes",
    ],
    [
      'a rule that a colon made a field',
      'capabilities:\n  r:\n    allow:\n      - GET /x: y\n',
      "7:9 'GET /x' is a field here, and no operation; write '- GET /x'; with a condition: { match: GET /x, when: … }",
    ],
    [
      'a condition cut in two by a comma in braces',
      'capabilities: { r: { allow: POST /x, when: body.all(k, k == "a"), limit: 1/s } }\n',
      '4:56 within { }, a comma ends a text without quotes; put the whole value before it in quotes',
    ],
    [
      'a block of text that is not indented',
      'capabilities:\n  r:\n    allow: POST /x\n    when: >-\n    body.a == 1\n',
      '8:5 the text of a block (>) is not indented; indent it deeper than its field',
    ],
    [
      'a condition that begins with >',
      'capabilities:\n  r:\n    allow: POST /x\n    when: > body.a == 1\n',
      '7:13 the text of a block (>) begins in the next line; begin it there, indented deeper, or put the whole value in quotes',
    ],
    [
      'a misspelt alias',
      'title: &name A\ndescription: *nam\ncapabilities:\n  r:\n    allow: GET /x\n',
      '5:14 the alias names no anchor above it; did you mean *name?',
    ],
    [
      'a comma at the end of a list',
      'capabilities:\n  r:\n    allow: [GET /x, GET /y],\n    limit: 1/s\n',
      '6:28 a comma after the value; remove it',
    ],
    [
      'a comma at the end of a rule',
      'capabilities:\n  r:\n    allow: GET /x,\n',
      "6:12 'GET /x,' ends with a comma; remove it (several rules are a list: [GET /a, GET /b]), or write %2C",
    ],
    [
      'typographic quotes',
      'capabilities:\n  r:\n    allow: [“GET /x”]\n',
      '6:13 typographic quotes are no quotes here; write straight ones: "…"',
    ],
    [
      'a whole address in a rule',
      'capabilities:\n  r:\n    allow: GET https://api.example.com/v1\n',
      "6:12 an operation is a path, and no whole address; leave the origin out: 'GET /v1'",
    ],
    [
      'a field without its colon',
      'capabilities:\n  r\n    allow: GET /x\n  s:\n    allow: GET /x\n',
      "5:3 a ':' is missing after a field's name; write 'name: value'",
    ],
    [
      'a field without the space',
      'capabilities:\n  r:\n    allow:GET /x\n',
      "6:5 'r' is no mapping; write a space after the ':'",
    ],
    [
      'an item without the space',
      'capabilities:\n  r:\n    allow:\n      - GET /x\n      -GET /y\n',
      "8:7 a space is missing after the '-'; write '- ' before each item",
    ],
    [
      'a line indented too deep',
      'capabilities:\n  r:\n    allow: GET /x\n      limit: 1/s\n',
      '7:7 this line is indented otherwise than its neighbours; begin fields of one mapping, and items of one list, in the same column',
    ],
    [
      'a line not indented enough',
      'capabilities:\n  r:\n    allow: GET /x\n\n  # more\n   limit: 1/s\n',
      '9:4 this line is indented otherwise than its neighbours; begin fields of one mapping, and items of one list, in the same column',
    ],
    [
      'a list that is not closed',
      'capabilities:\n  r:\n    allow: [GET /x, GET /y\n  s:\n    allow: GET /x\n',
      '6:12 the [ that opens here is never closed; close it with ]',
    ],
    [
      'a bracket too many',
      'capabilities:\n  r:\n    allow:\n      - GET /x\n    ]\n    limit: 1/s\n',
      '8:5 this ] closes nothing; remove it, or put the whole value in quotes',
    ],
    [
      'a field beside the items of a list',
      'capabilities:\n  r:\n    allow:\n      - match: GET /x\n       when: "true"\n',
      '8:8 this line is indented otherwise than its neighbours; begin fields of one mapping, and items of one list, in the same column',
    ],
    [
      'a mapping that is not closed',
      'capabilities:\n  r: { allow: [GET /x], limit: 1/s\n  s:\n    allow: GET /x\n',
      '5:6 the { that opens here is never closed; close it with }',
    ],
    [
      'two commas',
      'capabilities:\n  r:\n    allow: [GET /x, , GET /y]\n',
      '6:21 a comma with nothing before it; remove it',
    ],
    [
      'a backslash in double quotes',
      'capabilities:\n  r:\n    allow: GET /x\n    when: "path.matches(\'^/\\d\')"\n',
      '7:28 no such escape within double quotes; put the text in single quotes, or double the backslash',
    ],
    [
      'a character that begins no value',
      'title: @home\ncapabilities:\n  r:\n    allow: GET /x\n',
      '4:8 a value cannot begin with @ in YAML; put it in quotes',
    ],
    [
      'a # in a string of a condition without quotes',
      'capabilities:\n  r:\n    allow: POST /x\n    when: body.x == "a #b"\n',
      "7:21 Unterminated string; put the whole value in quotes: without them ' #' begins a comment",
    ],
    [
      'a second document',
      'capabilities:\n  r:\n    allow: POST /x\n---\na: 1\n',
      '7:1 the file holds more than one document; one service a file: remove the line ---',
    ],
    [
      'a field without its value',
      'capabilities:\n  r:\n    allow:\n    limit: 1/s\n',
      "6:5 'allow' has no value; write 'METHOD /path', or { match: METHOD /path, when: … }, or a list of these",
    ],
  ])('%s', (_what, lines, problem) => {
    expect(told(file(lines))).toEqual([problem]);
    expect(told(file(lines).replaceAll('\n', '\r\n'))).toEqual([problem]);
  });

  it('slips that spoil one value only are told all at once, and no more after one that breaks the rest', () => {
    const lines =
      'deny:\n  - * /a\n  - * /b\ntitle: x\ntitle: y\ncapabilities:\n  r: { allow: GET /v1/{id} }\n  s: { allow: GET /v2/{id} }\n';
    expect(problemsOf(file(lines)).map(({ line }) => line)).toEqual([5, 6, 8, 10]);
  });

  it('a field that stands there twice hides no other mistake, neither in the first nor in the second', () => {
    const lines =
      'colour: red\ncapabilities:\n  r:\n    allow: GET /x\n    limit: often\n    limit: 1/s\n    limit: seldom\n' +
      '  s: { allow: GET /y, shape: round }\n  s: { allow: GET /y, size: 1 }\n';
    expect(told(file(lines))).toEqual([
      expect.stringMatching(/^4:1 unknown field 'colour'/),
      expect.stringMatching(/^8:12 /),
      "9:5 the field 'limit' stands here a second time; keep one of the two",
      "10:5 the field 'limit' stands here a second time; keep one of the two",
      expect.stringMatching(/^10:12 /),
      expect.stringMatching(/^11:23 unknown field 'shape'/),
      "12:3 the field 's' stands here a second time; keep one of the two",
      expect.stringMatching(/^12:23 unknown field 'size'/),
    ]);
  });

  it('nor does one in agents.yaml, or in fixtures', () => {
    const grant = '{ id: a, may_hold: ["*"], colour: red }';
    expect(problemsOf(`agents:\n  - ${grant}\nagents:\n  - ${grant}\n`, 'agents.yaml').map(({ line }) => line)).toEqual(
      [2, 3, 4],
    );
    const one = '{ name: x, can: [pay:r], request: GET /x, expect: allow, colour: red }';
    const { problems } = runFixtures(bundleOf(file('capabilities: { r: { allow: GET /x } }\n')), [
      { name: 'tests/pay.yaml', text: `service: pay\nservice: pay\ncases:\n  - ${one}\n` },
    ]);
    expect(problems.map(({ line }) => line)).toEqual([2, 4]);
  });

  it('many fields of one name, and aliases beside doubled ones, are told without end or crash', () => {
    const many = `capabilities:\n${'  r: { allow: GET /x, colour: red }\n'.repeat(2_000)}`;
    expect(problemsOf(file(many)).length).toBeGreaterThan(2_000);
    const aliases = 'title: &t x\ntitle: y\ncapabilities: { r: { allow: GET /x, title: *t, colour: red } }\n';
    expect(told(file(aliases))).toEqual(["5:1 the field 'title' stands here a second time; keep one of the two"]);
  });

  it('what a file says is repeated in no message, but for rules and names of fields: it might be a secret', () => {
    for (const value of [
      '!SECRET x',
      '"a" SECRET',
      '[a] SECRET',
      '*SECRET',
      '@SECRET',
      'SECRET: x',
      '"\\SECRET"',
      "'SECRET",
      '>SECRET',
    ]) {
      const text = `service: x\ncredential: { scheme: bearer }\nx:\n  secret: ${value}\n`;
      const problems = problemsOf(text);
      expect(problems).not.toEqual([]);
      expect(JSON.stringify(problems)).not.toContain('SECRET');
    }
  });
});

/** A slip of the hand in one line; null where the line gives no occasion. */
const SLIPS: Readonly<Record<string, (line: string) => string | null>> = {
  'a tab for its indentation': (line) => (/^ +/.test(line) ? line.replace(/^ +/, '\t') : null),
  'a tab in its indentation': (line) => (/^ {4}/.test(line) ? line.replace(/^ {4}/, '  \t') : null),
  'without its quotes': (line) => (/- "(.*)"$/.test(line) ? line.replace(/"(.*)"$/, '$1') : null),
  'without its opening quote': (line) => (/: ["']/.test(line) ? line.replace(/: ["']/, ': ') : null),
  'without its closing quote': (line) => (/: '.*'$/.test(line) ? line.slice(0, -1) : null),
  'without its colon': (line) => (/^\s*\w+:/.test(line) ? line.replace(':', '') : null),
  'without the space after its colon': (line) => (/^\s*\w+: /.test(line) ? line.replace(': ', ':') : null),
  'without its opening bracket': (line) => (/^[^"']*: [[{]/.test(line) ? line.replace(/: [[{]/, ': ') : null),
  'without its closing bracket': (line) => (/^ *\w+: [[{].*[\]}]$/.test(line) ? line.slice(0, -1) : null),
  'its rule in a list without quotes': (line) =>
    /allow: [A-Z|]+ .*\{/.test(line) ? line.replace(/allow: (.*)$/, 'allow: [$1, GET /z]') : null,
  twice: (line) => (/^\s*[a-z_]+: \S/.test(line) ? `${line}\n${line}` : null),
};

describe("a slip in any line of the project's own policies", () => {
  const dir = new URL('../../policies/', import.meta.url);
  const files = readdirSync(dir).filter((name) => name.endsWith('.yaml') && name !== 'agents.yaml');

  it.each(Object.keys(SLIPS))('a line %s is one problem', (slip) => {
    let tried = 0;
    for (const name of files) {
      const lines = readFileSync(new URL(name, dir), 'utf8').split('\n');
      for (const [i, line] of lines.entries()) {
        const slipped = /^\s*#/.test(line) ? null : SLIPS[slip]?.(line);
        if (slipped == null) continue;
        const text = lines.with(i, slipped).join('\n');
        const compiled = compilePolicies([{ name, text }], { allowLoopbackHttp: false });
        if (compiled.ok) continue; // It means something else, and that is right too.
        tried += 1;
        expect(compiled.error, `${name}:${i + 1}: ${slipped}`).toHaveLength(1);
      }
    }
    expect(tried).toBeGreaterThan(5);
  });
});
