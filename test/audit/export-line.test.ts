import { describe, expect, it } from 'vitest';
import type { AuditRow } from '../../src/audit/event.ts';
import { checkpointLineOf, exportLineOf, readExportLine } from '../../src/audit/export-line.ts';
import { chainOf } from '../support/audit-rows.ts';

const row = chainOf('a'.repeat(64), 1)[0] as AuditRow;
const line = exportLineOf(row);
const altered = (from: string, to: string): string => {
  expect(line).toContain(from);
  return line.replace(from, to);
};

describe('a line of an export', () => {
  it('gives back the row that was written', () => {
    expect(readExportLine(line)).toEqual({ row, jws: null, problems: [] });
  });

  it('is the same whatever order the store has its columns in', () => {
    expect(exportLineOf(Object.fromEntries(Object.entries(row).reverse()) as unknown as AuditRow)).toBe(line);
  });

  it('may hold text of any script', () => {
    const any = { ...row, operator: 'Ünï 日本語 "\\" \u2028 \ud800 \u0000' };
    expect(readExportLine(exportLineOf(any))).toEqual({ row: any, jws: null, problems: [] });
  });

  it('may be the checkpoint', () => {
    expect(readExportLine(checkpointLineOf('a.b.c'))).toEqual({ row: null, jws: 'a.b.c', problems: [] });
  });
});

describe('a line says nothing but what is verified', () => {
  it.each<[string, string, RegExp]>([
    ['an unknown member', altered('{"ledger"', '{"note":"fine","ledger"'), /^has more than the edge writes: "note"$/],
    ['a member that parsers take for another', altered('{"ledger"', '{"Agent":"x","ledger"'), /: "Agent"$/],
    ['__proto__', altered('{"ledger"', '{"__proto__":{"agent":"x"},"ledger"'), /: "__proto__"$/],
    ['toJSON', altered('{"ledger"', '{"toJSON":"x","ledger"'), /: "toJSON"$/],
    ['the type of a checkpoint that is none', altered('{"ledger"', '{"type":"row","ledger"'), /: "type"$/],
    ['many unknown members', altered('{"ledger"', '{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"ledger"'), /"e" and 1 more$/],
    [
      'a member twice, the true one last',
      altered('"agent":', '"agent":"evil","agent":'),
      /^names "agent" more than once: readers would disagree/,
    ],
    [
      'a member twice, once escaped',
      altered('"agent":', '"\\u0061gent":"evil","agent":'),
      /^names "agent" more than once/,
    ],
    [
      'a member twice, far from its colon',
      altered('"agent":', `"agent"${' '.repeat(500)}:"evil","agent":`),
      /^names "agent" more than once/,
    ],
    [
      'an escape where none belongs',
      altered('"agent-1"', '"ag\\u0065nt-1"'),
      /^is written otherwise than by the edge: at character \d+ stands `\\u0065nt-1"\S+`, not `ent-1"/,
    ],
    ['an exponent', altered('"status":200', '"status":2e2'), /stands `e2,.*`, not `00,/],
    ['a fraction of nothing', altered('"status":200', '"status":200.0'), /stands `\.0,/],
    ['more digits than JavaScript reads', altered('"status":200', '"status":200.00000000000000001'), /stands `\.000/],
    ['minus zero', altered('"redactions":0', '"redactions":-0'), /stands `-0,/],
    ['white space', altered('"status":200', '"status": 200'), /stands ` 200,/],
    ['another order', `{"seq":1,${altered('"seq":1,', '').slice(1)}`, /at character 3 stands `seq/],
    ['spaces at the end', `${line} `, /stands ` `, not nothing$/],
  ])('%s is a problem', (_, text, problem) => {
    const read = readExportLine(text);
    expect(read.problems).toEqual([expect.stringMatching(problem)]);
    // It still takes its place in the chain, so that the row is not called missing besides.
    expect(read.row).toMatchObject({ ledger: row.ledger, seq: 1, agent: 'agent-1', hash: row.hash });
  });

  it.each<[string, string, RegExp]>([
    ['a missing member', altered('"agent":"agent-1",', ''), /^lacks "agent"$/],
    [
      'a missing member that is null',
      exportLineOf({ ...row, agent: null }).replace('"agent":null,', ''),
      /^lacks "agent"$/,
    ],
    [
      'a number as text',
      altered('"status":200', '"status":"200"'),
      /^"status" must be a number or null, and is "200"$/,
    ],
    ['text as a number', altered('"agent":"agent-1"', '"agent":1'), /^"agent" must be a text or null, and is 1$/],
    [
      'null where there is always something',
      altered('"event":"call.admitted"', '"event":null'),
      /^"event" must be a text, and is null$/,
    ],
    ['an object', altered('"agent":"agent-1"', '"agent":{"id":"agent-1"}'), /and is an object$/],
    ['a list', altered('"agent":"agent-1"', '"agent":["agent-1"]'), /and is a list$/],
    [
      'a previous hash in a list',
      altered(`"prevHash":"${row.prevHash}"`, `"prevHash":["${row.prevHash}"]`),
      /^"prevHash" must be 64 hexadecimal digits, and is a list$/,
    ],
    [
      'a list as deep as it gets',
      altered('"agent":"agent-1"', `"agent":${'['.repeat(100_000)}${']'.repeat(100_000)}`),
      /and is a list$/,
    ],
    ['infinity', altered('"status":200', '"status":1e999'), /and is Infinity$/],
    ['a place before the first', altered('"seq":1', '"seq":0'), /^"seq" must be a whole number from 1 on, and is 0$/],
    ['half a place', altered('"seq":1', '"seq":1.5'), /and is 1.5$/],
    ['a place beyond what can be counted', altered('"seq":1', '"seq":9007199254740993'), /^"seq" must be/],
    [
      'a ledger of another spelling',
      altered('"ledger":"aa', '"ledger":"AA'),
      /^"ledger" must be 64 hexadecimal digits/,
    ],
  ])('%s is a problem, and the line is no row', (_, text, problem) => {
    const read = readExportLine(text);
    expect(read.problems).toEqual([expect.stringMatching(problem)]);
    expect(read.row).toBeNull();
  });

  it('all that is wrong with it is told at once', () => {
    const text = altered('"agent":"agent-1",', '"note":1,').replace('"status":200', '"status":"200","status":[]');
    expect(readExportLine(text).problems).toEqual([
      'has more than the edge writes: "note"',
      'names "status" more than once: readers would disagree about the value',
      'lacks "agent"',
      '"status" must be a number or null, and is a list',
    ]);
  });

  it.each<[string, string, RegExp]>([
    ['words', 'not json', /^is no JSON: /],
    ['something after the row', `${line} // fine`, /^is no JSON: .* after JSON at position \d+$/],
    ['two rows', line + line, /^is no JSON: /],
    ['half a row', line.slice(0, -40), /^is no JSON: /],
    ['a NUL', altered('agent-1', 'agent\u0000-1'), /^is no JSON: .*control character/],
    ['NULs around it', `\u0000${line}`, /^is no JSON: /],
    ['a byte order mark', `\ufeff${line}`, /^is no JSON: /],
    ['a no-break space', '\u00a0', /^is no JSON: /],
    ['a space', ' ', /^is no JSON: /],
    ['NaN', altered('"status":200', '"status":NaN'), /^is no JSON: /],
    ['hexadecimal', altered('"status":200', '"status":0xc8'), /^is no JSON: /],
    ['a number', '7', /^is no JSON object$/],
    ['null', 'null', /^is no JSON object$/],
    ['a list of rows', `[${line}]`, /^is no JSON object$/],
    ['a checkpoint without a signature', '{"type":"checkpoint"}', /^is a checkpoint without a signature/],
    ['a checkpoint with a list for a signature', '{"type":"checkpoint","jws":["a.b.c"]}', /^is a checkpoint without/],
  ])('%s: neither row nor checkpoint', (_, text, problem) => {
    expect(readExportLine(text)).toEqual({ row: null, jws: null, problems: [expect.stringMatching(problem)] });
  });

  it.each<[string, string, RegExp]>([
    ['says more', '{"type":"checkpoint","rows":7,"jws":"a.b.c"}', /^has more than the edge writes: "rows"$/],
    ['says it twice', '{"type":"checkpoint","jws":"x","jws":"a.b.c"}', /^names "jws" more than once/],
    ['says it otherwise', '{"jws":"a.b.c","type":"checkpoint"}', /^is written otherwise/],
    [
      'is a row, too',
      altered('{"ledger"', '{"type":"checkpoint","jws":"a.b.c","ledger"'),
      /^has more than the edge writes: "ledger"/,
    ],
  ])('a checkpoint that %s is a problem', (_, text, problem) => {
    expect(readExportLine(text)).toEqual({ row: null, jws: 'a.b.c', problems: [expect.stringMatching(problem)] });
  });

  it('what a problem shows of a line is short', () => {
    const long = 'x'.repeat(100_000);
    const text = altered('{"ledger"', `{"${long}":1,"ledger"`).replace('"status":200', `"status":"${long}"`);
    const { problems } = readExportLine(text);
    expect(problems.length).toBeGreaterThan(0);
    for (const problem of problems) expect(problem.length).toBeLessThan(150);
  });

  it('a line of megabytes of members, brackets or backslashes is judged in time', () => {
    const begun = performance.now();
    const members = Array.from({ length: 200_000 }, (_, index) => `"m${index}":1`).join();
    for (const text of [
      members,
      `"m":"${'\\\\'.repeat(1_000_000)}"`,
      `"m":${'[{"a":'.repeat(200_000)}1${'}]'.repeat(200_000)}`,
    ])
      expect(readExportLine(altered('{"ledger"', `{${text},"ledger"`)).problems).toHaveLength(1);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});
