import { describe, expect, it } from 'vitest';
import { compilePolicies } from '../../src/policy/compile.ts';
import { runFixtures } from '../../src/policy/fixtures.ts';
import { readmeExample, readmeExamples } from '../support/readme.ts';
import { bundleOf, problemsOf } from './support.ts';

/** Lines of a policy that stands around them in the reader's mind. */
const service = (id: string, lines: string): string =>
  `service: ${id}\norigin: https://api.example.com\ncredential: { scheme: bearer, secret: A_KEY }\n${lines}`;
const indented = (lines: string): string => lines.replace(/^/gm, '    ');

describe('the examples of policies/README.md work as they are written', () => {
  it('every service compiles', () => {
    const services = readmeExamples.filter((text) => /^origin:/m.test(text));
    expect(services).toHaveLength(3);
    for (const text of services) expect(problemsOf(text)).toEqual([]);
  });

  it('the cases of the first hold', () => {
    const run = runFixtures(bundleOf(readmeExample('capabilities:\n  forecast:')), [
      { name: 'tests/weather.yaml', text: readmeExample('cases:') },
    ]);
    expect(run.problems).toEqual([]);
    expect(run.results).toHaveLength(4);
    expect(run.results.filter((result) => !result.passed)).toEqual([]);
  });

  it('who may hold what compiles beside it', () => {
    const files = [
      ['weather.yaml', readmeExample('capabilities:\n  forecast:')],
      ['agents.yaml', readmeExample('may_hold:')],
    ] as const;
    const compiled = compilePolicies(
      files.map(([name, text]) => ({ name, text })),
      { allowLoopbackHttp: false },
    );
    expect(compiled).toMatchObject({ ok: true });
  });

  it('a pin is written into a capability, a shape that every call must have into a service', () => {
    for (const pin of ['/my-bucket/{key+}', 'params.owner == "acme"'])
      expect(problemsOf(service('pinned', `capabilities:\n  one:\n${indented(readmeExample(pin))}`))).toEqual([]);
    const shape = readmeExample('!(body.messages.all(');
    expect(problemsOf(service('shaped', `${shape}capabilities: { one: { allow: GET /x } }`))).toEqual([]);
  });
});
