import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keywarden, scratch } from './command-line.ts';
import { widgetPolicy } from './policies.ts';

const place = scratch();
const at = { cwd: place.path };
beforeAll(() => {
  place.file('good/widgets.yaml', widgetPolicy('https://widgets.example.com'));
  place.file(
    'good/tests/widgets.yaml',
    `service: widgets
cases:
  - { name: listing, can: [widgets:list], request: GET /v1/widgets, expect: allow }
  - { name: breaking is another right, can: [widgets:list], request: DELETE /v1/widgets/1, expect: deny }
`,
  );
  place.file('wrong/widgets.yaml', widgetPolicy('https://widgets.example.com'));
  place.file(
    'wrong/tests/widgets.yaml',
    `service: widgets
cases:
  - { name: anybody may break, can: [widgets:list], request: DELETE /v1/widgets/1, expect: allow }
`,
  );
  place.file(
    'bad/widgets.yaml',
    widgetPolicy('https://*.example.com').replace('alow', 'allow').replace('title: List', 'titel: List'),
  );
  place.file('local/widgets.yaml', widgetPolicy('http://127.0.0.1:9'));
});
afterAll(() => place.remove());

describe('keywarden policy check', () => {
  it('good policies: exit 0 and their capabilities', async () => {
    const { code, stdout, stderr } = await keywarden(['policy', 'check', 'good'], at);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('widgets:break');
  });

  it('bad ones: exit 1, every problem with file, line, column and fix', async () => {
    const { code, stdout } = await keywarden(['policy', 'check', 'bad'], at);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^bad\/widgets\.yaml:4:\d+: /m);
    expect(stdout).toMatch(/^bad\/widgets\.yaml:8:\d+: /m);
    expect(stdout).toMatch(/^ {2}fix: /m);
  });

  it('--json says the same to programs', async () => {
    const { code, stdout } = await keywarden(['policy', 'check', 'bad', '--json'], at);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      problems: expect.arrayContaining([expect.objectContaining({ file: 'bad/widgets.yaml', line: 4 })]),
    });
  });

  it('an origin in the clear is a problem, but for --dev on loopback', async () => {
    expect((await keywarden(['policy', 'check', 'local'], at)).code).toBe(1);
    expect((await keywarden(['policy', 'check', 'local', '--dev'], at)).code).toBe(0);
  });

  it('a directory that is not there is a failure, not a good policy', async () => {
    expect((await keywarden(['policy', 'check', 'nowhere'], at)).code).toBe(125);
  });
});

describe('keywarden policy test', () => {
  it('fixtures that hold: exit 0', async () => {
    const { code, stdout } = await keywarden(['policy', 'test', 'good'], at);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ok: 2 of 2 fixtures hold\n' });
  });

  it('one that does not: exit 1, named with its place', async () => {
    const { code, stdout } = await keywarden(['policy', 'test', 'wrong'], at);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^wrong\/tests\/widgets\.yaml:3: anybody may break$/m);
  });

  it('no fixtures at all is no success', async () => {
    expect((await keywarden(['policy', 'test', 'local', '--dev'], at)).code).toBe(1);
  });
});

describe('keywarden policy explain', () => {
  const explain = (...args: string[]) =>
    keywarden(['policy', 'explain', '--policies', 'good', '--dev', '--agent', 'demo', ...args], at);

  it('an allowed call: exit 0 and the rule', async () => {
    const { code, stdout } = await explain('--can', 'widgets:list', 'GET', '/proxy/widgets/v1/widgets');
    expect(code).toBe(0);
    expect(stdout).toContain('widgets:list');
  });

  it('several capabilities may stand before METHOD and PATH', async () => {
    expect((await explain('--can', 'widgets:list', 'widgets:break', 'DELETE', 'widgets/v1/widgets/1')).code).toBe(0);
  });

  it('a denied one: exit 1 and what is missing', async () => {
    const { code, stdout } = await explain('--can', 'widgets:list', 'DELETE', 'widgets/v1/widgets/1');
    expect(code).toBe(1);
    expect(stdout).toContain('widgets:break');
  });

  it('a path without canonical form: exit 1', async () => {
    const { code, stdout } = await explain('--can', 'widgets:list', '--json', 'GET', 'widgets/v1/../v1/widgets');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'deny', denial: { kind: 'path_refused' } });
  });

  it('no path is wrong usage', async () => {
    expect((await explain('GET')).code).toBe(2);
  });
});
