import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
  place.file(
    'aws/queue.yaml',
    `service: queue
origin: https://sqs.eu-central-1.amazonaws.com
credential: { scheme: sigv4, accessKeyId: AWS_ID, secretAccessKey: AWS_SECRET }
capabilities:
  send:
    allow: POST /
    when: headers["x-amz-target"] == "AmazonSQS.SendMessage" && body.QueueUrl.endsWith("/123/jobs")
`,
  );
  place.file('local/widgets.yaml', widgetPolicy('http://127.0.0.1:9'));
  place.file('local/tests/widgets.yaml', 'service: widgets\ncases: []\n');
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

  it('an origin in the clear is a problem, but for --dev on loopback, and each command says so', async () => {
    const explain = [
      'explain',
      '--policies',
      'local',
      '--agent',
      'a',
      '--can',
      'widgets:list',
      'GET',
      'widgets/v1/widgets',
    ];
    for (const command of [['check', 'local'], ['test', 'local'], explain]) {
      const { code, stdout, stderr } = await keywarden(['policy', ...command], at);
      expect(code).not.toBe(0);
      expect(stdout + stderr).toContain('for a local edge, check with --dev');
      expect((await keywarden(['policy', ...command, '--dev'], at)).stderr).toBe('');
    }
    expect((await keywarden(['policy', 'check', 'local', '--dev'], at)).code).toBe(0);
  });

  it('what cannot be read is a problem beside the others, and nothing that looks like a policy is left out', async () => {
    place.file('odd/a.yaml', 'service: [');
    mkdirSync(join(place.path, 'odd/b.yaml'));
    symlinkSync('nowhere', join(place.path, 'odd/c.yml'));
    symlinkSync('d.yaml', join(place.path, 'odd/d.yaml'));
    place.file('odd/E.YAML', 'service: [');
    place.file('odd/deeper/f.Yml', 'service: [');
    symlinkSync('..', join(place.path, 'odd/deeper/round'));
    place.file('odd/g.yaml', widgetPolicy('https://widgets.example.com'));
    place.file('odd/h.yaml', Buffer.from(widgetPolicy('https://h.example.com'), 'utf16le').toString('latin1'));
    for (const name of ['a.yaml~', '.a.yaml.swp', 'a.yaml.bak', '#a.yaml#', '.hidden.yaml', 'node_modules/x.yaml'])
      place.file(`odd/${name}`, 'service: [');
    symlinkSync('nobody@host:1', join(place.path, 'odd/.#a.yaml'));
    writeFileSync(join(place.path, 'odd/i.yaml'), Buffer.from([0xff, 0xfe, 0x73, 0]));
    const { code, stdout } = await keywarden(['policy', 'check', 'odd', '--json'], at);
    expect(code).toBe(1);
    const { problems } = JSON.parse(stdout) as { problems: { file: string; message: string }[] };
    expect(problems.map(({ file, message }) => `${file}: ${message}`)).toEqual([
      'odd/E.YAML: the [ that opens here is never closed',
      'odd/a.yaml: the [ that opens here is never closed',
      'odd/b.yaml: cannot be read: it is a directory',
      'odd/c.yml: cannot be read: it links to what is not there',
      'odd/d.yaml: cannot be read: it links to itself',
      'odd/deeper/f.Yml: the [ that opens here is never closed',
      'odd/h.yaml: cannot be read: it is not UTF-8 text',
      'odd/i.yaml: cannot be read: it is not UTF-8 text',
    ]);
  });

  it('a file and a folder that this user may not read are problems', async () => {
    chmodSync(place.file('shut/a.yaml', 'service: ['), 0);
    place.file('shut/folder/b.yaml', 'service: [');
    chmodSync(join(place.path, 'shut/folder'), 0);
    chmodSync(place.path, 0o755);
    // Nothing is closed to root.
    const { code, stdout } = await keywarden(['policy', 'check', 'shut'], { ...at, uid: 65_534 });
    chmodSync(join(place.path, 'shut/folder'), 0o700);
    expect(code).toBe(1);
    expect(stdout).toContain('shut/a.yaml:1:1: cannot be read: permission denied');
    expect(stdout).toContain('shut/folder:1:1: cannot be read: permission denied');
  });

  it('a directory without policies is told', async () => {
    mkdirSync(join(place.path, 'bare'));
    const { code, stdout, stderr } = await keywarden(['policy', 'check', 'bare'], at);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ok: 0 services, 0 capabilities\n' });
    expect(stderr).toContain('no policy in bare: nothing can be called');
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

  it('a fixture file that is wrong is told with its fix, and the others are run', async () => {
    place.file('mixed/widgets.yaml', widgetPolicy('https://widgets.example.com'));
    const cases = 'cases:\n  - { name: a, can: [widgets:list], request: GET /v1/widgets, expect: allow }\n';
    place.file('mixed/tests/a.yaml', `service: widgets\n${cases}`);
    place.file('mixed/tests/b.yaml', `service: widgest\n${cases}`);
    const { code, stdout } = await keywarden(['policy', 'test', 'mixed'], at);
    expect(code).toBe(1);
    expect(stdout).toBe(
      "mixed/tests/b.yaml:1:10: no policy has the service 'widgest'\n  fix: did you mean 'widgets'?\nnot ok: 1 of 1 fixture holds, 1 problem in their files\n",
    );
  });

  it('policies that do not compile are told with the command that looks at them again', async () => {
    const { code, stderr } = await keywarden(['policy', 'test', 'bad', '--dev'], at);
    expect(code).toBe(125);
    expect(stderr).toContain('hint: to look again: keywarden policy check bad --dev');
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

  it('a capability or a service that no policy has is told with the nearest', async () => {
    const unknown = await explain('--can', 'widgets:lst', 'GET', 'widgets/v1/widgets');
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('did you mean widgets:list?');
    const service = await explain('--can', 'widgets:list', 'GET', 'widget/v1/widgets');
    expect(service.code).toBe(1);
    expect(service.stderr).toContain('did you mean widgets?');
  });

  it('without agents.yaml and --dev it says that nobody may hold anything, and what --dev does', async () => {
    const { code, stdout, stderr } = await keywarden(
      [
        'policy',
        'explain',
        '--policies',
        'good',
        '--agent',
        'demo',
        '--can',
        'widgets:list',
        'GET',
        'widgets/v1/widgets',
      ],
      at,
    );
    expect(code).toBe(1);
    expect(stdout).toContain('there is no agents.yaml');
    expect(stderr).toContain('with --dev it is judged as under keywarden dev');
  });

  it('a path without canonical form: exit 1', async () => {
    const { code, stdout } = await explain('--can', 'widgets:list', '--json', 'GET', 'widgets/v1/../v1/widgets');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'deny', denial: { kind: 'path_refused' }, not_grantable: [] });
  });

  it('judges the header fields that it is given, and the body by their content type', async () => {
    const send = (...args: string[]) =>
      keywarden(
        ['policy', 'explain', '--policies', 'aws', '--dev', '--agent', 'demo', '--can', 'queue:send', ...args],
        at,
      );
    const target = ['--header', 'X-Amz-Target: AmazonSQS.SendMessage'];
    const body = [
      '--header',
      'content-type: application/x-amz-json-1.0',
      '--body',
      '{"QueueUrl":"https://q/123/jobs"}',
    ];
    expect((await send(...target, ...body, 'POST', 'queue/')).code).toBe(0);
    expect((await send(...body, 'POST', 'queue/')).code).toBe(1);
    const twice = await send(...target, ...target, ...body, 'POST', 'queue/');
    expect(twice.stdout).toContain('does not hold');
    const wrong = await send('--header', 'X-Amz-Target', ...body, 'POST', 'queue/');
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("Write a header field as 'name: value'.");
  });

  it('the command that it offers can be pasted, whatever the directory is called', async () => {
    place.file("it's bad/widgets.yaml", 'service: [');
    const { stderr } = await keywarden(
      ['policy', 'explain', '--policies', "it's bad", '--agent', 'demo', 'GET', 'widgets/'],
      at,
    );
    expect(stderr).toMatch(/hint: to look again: keywarden policy check 'it'\\''s bad'\n/);
  });

  it('no path is wrong usage', async () => {
    expect((await explain('GET')).code).toBe(2);
  });
});
