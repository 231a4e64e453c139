import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compilePolicies } from '../../src/policy/compile.ts';
import { originProblem } from '../../src/policy/origin.ts';
import { bundleOf, policyOf, problemsOf, serviceYaml } from './support.ts';

const RIGHT = 'capabilities: { r: { allow: GET /x } }\n';

describe("the design's example compiles as written", () => {
  const stripe = bundleOf(`service: stripe
origin: https://api.stripe.com            # exactly one origin, no wildcard
credential: { scheme: bearer, secret: STRIPE_KEY }
errors: stripe
capabilities:
  read_balance:
    title: Read the account balance
    allow: GET /v1/balance
    limit: 60/min
  refund:
    allow: POST /v1/refunds
    when: body.amount <= 5000 && body.reason != "fraudulent"   # CEL
    approval: { when: body.amount > 1000 }
    limit: { rate: 10/min, burst: 3 }
`).services['stripe'];

  it('with every default filled in', () => {
    expect(stripe).toMatchObject({
      service: 'stripe',
      prefix: 'stripe',
      title: 'Stripe',
      origin: 'https://api.stripe.com',
      errors: 'stripe',
      maxBodyBytes: 1_048_576,
      timeoutMs: 30_000,
      idleTimeoutMs: 60_000,
      dropHeaders: [],
      defaultHeaders: {},
      trailingSlash: false,
      response: { scrub: true, cache: false, ranges: false, redirects: [] },
    });
    expect(stripe?.capabilities[0]).toMatchObject({
      name: 'stripe:read_balance',
      title: 'Read the account balance',
      limit: { count: 60, periodMs: 60_000, burst: 60 },
      approval: null,
      when: null,
    });
    expect(stripe?.capabilities[1]).toMatchObject({
      name: 'stripe:refund',
      title: 'Refund',
      when: 'body.amount <= 5000 && body.reason != "fraudulent"',
      limit: { count: 10, periodMs: 60_000, burst: 3 },
      approval: { when: 'body.amount > 1000', reviewers: null, count: 1, ttlMs: 900_000 },
    });
  });
});

describe('every credential scheme', () => {
  it.each([
    ['{ scheme: bearer, secret: K }', { scheme: 'bearer', secret: 'K' }],
    [
      '{ scheme: header, header: X-Api-Key, secret: K }',
      { scheme: 'header', header: 'x-api-key', secret: 'K', prefix: '' },
    ],
    [
      '{ scheme: header, header: authorization, secret: K, prefix: "token " }',
      { scheme: 'header', header: 'authorization', secret: 'K', prefix: 'token ' },
    ],
    ['{ scheme: basic, secret: K }', { scheme: 'basic', secret: 'K', username: null }],
    ['{ scheme: basic, secret: K, username: u }', { scheme: 'basic', secret: 'K', username: 'u' }],
    ['{ scheme: query, param: key, secret: K }', { scheme: 'query', param: 'key', secret: 'K' }],
    [
      '{ scheme: sigv4, accessKeyId: A, secretAccessKey: B }',
      { scheme: 'sigv4', accessKeyId: 'A', secretAccessKey: 'B', sessionToken: null, region: null, service: null },
    ],
  ])('%s', (written, ruled) => {
    expect(
      bundleOf(`service: x\norigin: https://a.example.com\ncredential: ${written}\n${RIGHT}`).services['x']?.credential,
    ).toEqual(ruled);
  });
});

describe('one mistake, one problem, at its line and column, with its mend', () => {
  it.each([
    [
      'an unknown field',
      serviceYaml('capabilities: { r: { allow: GET /x, limt: 1/s } }'),
      4,
      37,
      "did you mean 'limit'?",
    ],
    ['an unknown field at the top', serviceYaml(RIGHT, 'orign: x\n'), 4, 1, "did you mean 'origin'?"],
    ['a field given twice', serviceYaml(RIGHT, 'errors: s3\nerrors: s3\n'), 5, 1, 'keep one'],
    ['a tag', serviceYaml(RIGHT, 'title: !!str x\n'), 4, 14, 'remove it'],
    ['a merge key', serviceYaml('capabilities: { r: { allow: GET /x, <<: y } }'), 4, 37, 'remove it'],
    ['an alias of a structure', serviceYaml(`capabilities: { r: &r { allow: GET /x }, s: *r }`), 4, 45, 'write it out'],
    ['a second document', `${serviceYaml(RIGHT)}---\na: 1\n`, 5, 1, 'one service a file'],
    ['no allow', serviceYaml('capabilities:\n  r:\n    title: x\n'), 5, 3, 'must say what it allows'],
    ['no capabilities', serviceYaml('capabilities: {}'), 4, 15, 'add one'],
    ['a bad capability name', serviceYaml('capabilities: { Read: { allow: GET /x } }'), 4, 17, 'lower case'],
    [
      'a service id that is too long',
      serviceYaml(RIGHT).replace('service: pay', `service: ${'x'.repeat(65)}`),
      1,
      10,
      'at most 64 characters',
    ],
    [
      'a capability that no token could hold, since its full name is too long',
      serviceYaml(`capabilities:\n  ${'x'.repeat(125)}: { allow: GET /x }\n`),
      5,
      3,
      "after 'pay:', write at most 124 characters",
    ],
    ['a bad template', serviceYaml('capabilities: { r: { allow: [GET /x, "GET y"] } }'), 4, 38, "write '/y'"],
    [
      'a bad condition',
      serviceYaml('capabilities: { r: { allow: POST /x, when: "body.a <= bdy.b" } }'),
      4,
      55,
      "did you mean 'body'?",
    ],
    [
      'a bad condition, folded',
      serviceYaml('capabilities:\n  r:\n    allow: POST /x\n    when: >-\n      body.a <= 1\n      && bdy.b == 2\n'),
      9,
      10,
      "did you mean 'body'?",
    ],
    [
      'a name that the template does not have',
      serviceYaml('capabilities: { r: { allow: { match: "GET /{item}", when: params.itm == "1" } } }'),
      4,
      66,
      "did you mean 'params.item'?",
    ],
    ['a bad limit', serviceYaml('capabilities: { r: { allow: GET /x, limit: 60/fortnight } }'), 4, 44, "'60/min'"],
    [
      'a burst of nothing',
      serviceYaml('capabilities: { r: { allow: GET /x, limit: { rate: 1/s, burst: 0 } } }'),
      4,
      64,
      '1 or more',
    ],
    [
      'a secret in the place of its name',
      `service: x\norigin: https://a.example.com\ncredential: { scheme: bearer, secret: sk_live_123 }\n${RIGHT}`,
      3,
      39,
      'such as STRIPE_KEY',
    ],
    [
      "Keywarden's own key as credential",
      `service: x\norigin: https://a.example.com\ncredential: { scheme: bearer, secret: KEYWARDEN_SIGNING_KEY }\n${RIGHT}`,
      3,
      39,
      'another secret',
    ],
    [
      'a field of another scheme',
      `service: x\norigin: https://a.example.com\ncredential: { scheme: bearer, secret: K, param: k }\n${RIGHT}`,
      3,
      42,
      'known here: scheme, secret',
    ],
    [
      'an unknown scheme',
      `service: x\norigin: https://a.example.com\ncredential: { scheme: barer, secret: K }\n${RIGHT}`,
      3,
      23,
      "did you mean 'bearer'?",
    ],
    ['an unknown error shape', serviceYaml(RIGHT, 'errors: stipe\n'), 4, 9, "did you mean 'stripe'?"],
    [
      'a second key among the headers to set',
      serviceYaml(RIGHT, 'headers: { set: { x-a: b, DD-Application-Key: abcdef0123456789abcdef } }\n'),
      4,
      47,
      "remove it; a service's one secret is named under 'credential'",
    ],
    ['a header that the edge owns', serviceYaml(RIGHT, 'headers: { set: { Host: a } }\n'), 4, 19, 'remove it'],
    [
      'a line break in a header',
      serviceYaml(RIGHT, 'headers: { set: { x-a: "a\\r\\nb: c" } }\n'),
      4,
      24,
      'printable ASCII',
    ],
    ['a body beyond memory', serviceYaml(RIGHT, 'max_body: 100MiB\n'), 4, 11, '16MiB'],
    ['a timeout without its unit', serviceYaml(RIGHT, 'timeout: 30\n'), 4, 10, 'text'],
    ['a bad service id', serviceYaml(RIGHT).replace('service: pay', 'service: Pay'), 1, 10, 'lower case'],
    ['an empty file', '', 1, 1, 'write a policy'],
    ['no YAML', 'service: [', 1, 10, 'close it with ]'],
    ['no mapping', 'hello', 1, 1, "'field: value'"],
  ])('%s', (_what, text, line, column, fix) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({
      file: 'pay.yaml',
      line,
      column,
      fix: expect.stringContaining(fix),
      message: expect.stringMatching(/./),
    });
  });
});

describe('between files', () => {
  const x = `service: x\norigin: https://a.example.com\ncredential: { scheme: bearer, secret: K }\n${RIGHT}`;
  const messages = (...files: [string, string][]): string[] => {
    const compiled = compilePolicies(
      files.map(([name, text]) => ({ name, text })),
      { allowLoopbackHttp: false },
    );
    return compiled.ok
      ? []
      : compiled.error.map(({ file, line, message, fix }) => `${file}:${line}: ${message}; ${fix}`);
  };

  it('all problems of all files come at once, in order', () => {
    const found = messages(['b.yaml', 'service: B\n'], ['a.yaml', 'origin: http://10.0.0.1\ntimeout: x\n']);
    expect(found.length).toBeGreaterThanOrEqual(7);
    expect(found.filter((one) => one.startsWith('a.yaml')).length).toBeGreaterThan(3);
    expect(found.map((one) => one[0]).join('')).toMatch(/^a+b+$/);
  });
  it('a service id belongs to one file', () => {
    expect(messages(['a.yaml', x], ['b.yaml', x.replace('r:', 'q:')])).toEqual([
      expect.stringContaining("b.yaml:1: the service 'x' is defined in a.yaml already"),
    ]);
  });
  it('a full name belongs to one service', () => {
    expect(messages(['a.yaml', x], ['b.yaml', x.replace('service: x', 'service: y\nprefix: x')])).toEqual([
      expect.stringContaining("b.yaml:5: the capability 'x:r' is defined in a.yaml already"),
    ]);
  });
  it('agents.yaml names only what exists', () => {
    expect(
      messages(['x.yaml', x], ['agents.yaml', 'agents:\n  - { id: a, may_hold: ["x:rr", "x:*", "*", "y:*"] }\n']),
    ).toEqual([
      expect.stringContaining("agents.yaml:2: no policy has the capability 'x:rr'; did you mean 'x:r'?"),
      expect.stringContaining("no policy has the capability 'y:*'"),
    ]);
  });
  it('agents.yaml is strict too, and a day is the longest', () => {
    expect(
      messages(['agents.yaml', 'agents:\n  - { id: "a b", may_hold: ["*"], max_ttl: 25h, ttl: 1m }\n']),
    ).toHaveLength(3);
  });
  it.each([
    ['x:r', 'write a list: [x:r]'],
    ["'x:*'", 'write a list: [x:*]'],
    ["'*'", "write a list: ['*']"],
  ])('one capability, %s, where a list of them is wanted: the list is written out', (written, fix) => {
    const agents = `agents:\n  - { id: a, may_hold: ${written} }\n`;
    const compiled = compilePolicies([{ name: 'agents.yaml', text: agents }], { allowLoopbackHttp: false });
    expect(compiled).toMatchObject({ ok: false, error: [{ message: "'may_hold' is no list", fix }] });
  });
  it('a copy of a file is one problem', () => {
    expect(messages(['a.yaml', x], ['b.yaml', x])).toEqual([expect.stringContaining("the service 'x' is defined")]);
  });
  it('what a broken file may define is not called undefined', () => {
    const agents: [string, string] = ['agents.yaml', 'agents:\n  - { id: a, may_hold: ["y:r", "x:rr"] }\n'];
    for (const broken of ['service: [', 'service: y\n', 'service: y\ncapabilities: 1\n', '- a\n']) {
      const found = messages(['x.yaml', x], ['y.yaml', broken], agents);
      expect(found).not.toEqual([]);
      expect(found.filter((one) => !one.startsWith('y.yaml'))).toEqual([]);
    }
    expect(messages(['x.yaml', x], ['y.yaml', `${x.replace('service: x', 'service: y')}erors: s3\n`], agents)).toEqual([
      expect.stringContaining("no policy has the capability 'x:rr'"),
      expect.stringContaining('erors'),
    ]);
  });
  it('a file that could not be read is one problem among the others', () => {
    const compiled = compilePolicies(
      [
        { name: 'a.yaml', why: 'permission denied', fix: 'mend it' },
        { name: 'b.yaml', text: 'service: [' },
        { name: 'tests/c.yaml', why: 'permission denied', fix: 'mend it' },
        { name: 'agents.yaml', text: 'agents:\n  - { id: a, may_hold: ["y:r"] }\n' },
      ],
      { allowLoopbackHttp: false },
    );
    expect(compiled).toMatchObject({
      ok: false,
      error: [
        { file: 'a.yaml', line: 1, column: 1, message: 'cannot be read: permission denied', fix: 'mend it' },
        { file: 'b.yaml' },
      ],
    });
  });
  it('the ending may be written in capitals', () => {
    expect(messages(['X.YAML', 'service: ['], ['y.Yml', 'service: ['])).toHaveLength(2);
    const agents = messages(['x.yaml', x], ['Agents.YML', 'agents:\n  - { id: a, may_hold: ["x:rr"] }\n']);
    expect(agents).toEqual([expect.stringContaining("'x:rr'")]);
  });
  it('fixtures and other files are passed over', () => {
    expect(messages(['x.yaml', x], ['tests/x.yaml', 'cases: ['], ['README.md', '#'])).toEqual([]);
  });
  it('without agents.yaml there is none, and an empty one grants nothing', () => {
    expect(bundleOf(x).agents).toEqual({ source: 'absent', grants: [] });
    const compiled = compilePolicies([{ name: 'agents.yaml', text: 'agents: []' }], { allowLoopbackHttp: false });
    expect(compiled.ok && compiled.value.agents).toEqual({ source: 'file', grants: [] });
  });
  it('the hash follows the policy and nothing else', () => {
    const y = x.replace('service: x', 'service: y');
    expect(bundleOf(x, y).hash).toBe(bundleOf(y, x).hash);
    expect(bundleOf(x, y).hash).toBe(bundleOf(`# comment\n${x}`, y).hash);
    expect(bundleOf(x).hash).not.toBe(bundleOf(x.replace('GET', 'POST')).hash);
    expect(bundleOf(x).hash).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('an origin is one public https server (threats A9, A11)', () => {
  it.each([
    'https://api.stripe.com',
    'https://my-bucket.s3.eu-central-1.amazonaws.com',
    'https://a.example.com:8443',
    'https://8.8.8.8',
    'https://xn--bcher-kva.example.com',
  ])('%s is good', (text) => {
    expect(originProblem(text, false)).toBeNull();
  });
  it.each([
    'http://api.stripe.com',
    'api.stripe.com',
    'ftp://a.example.com',
    'https://',
    'https://a.example.com/',
    'https://a.example.com/v1',
    'https://a.example.com?x',
    'https://a.example.com#x',
    'https://u:p@a.example.com',
    'https://*.example.com',
    'https://API.example.com',
    'https://a.example.com.',
    'https://a.example.com:443',
    'https://a.example.com:0',
    'https://a.example.com:99999',
    'https://a_b.example.com',
    'https://a..example.com',
    'https://-a.example.com',
    'https://intranet',
    'https://a.example.com\\x',
    'https://2130706433',
    'https://0x7f.1',
    'https://0177.0.0.1',
    'https://127.1',
    'https://127.0.0.1',
    'https://0.0.0.0',
    'https://10.1.2.3',
    'https://172.16.0.1',
    'https://192.168.1.1',
    'https://100.64.0.1',
    'https://169.254.169.254',
    'https://224.0.0.1',
    'https://255.255.255.255',
    'https://1.2.3.4.5',
    'https://08.8.8.8',
    'https://1.2.3.0x4',
    'https://[::1]',
    'https://[::]',
    'https://[::ffff:127.0.0.1]',
    'https://[fd00::1]',
    'https://[64:ff9b::7f00:1]',
    'https://[2002:7f00:1::]',
    'https://metadata.google.internal',
    'https://metadata.google.internal.',
    'https://localhost',
    'https://x.localhost',
    'https://printer.local',
    'https://127.0.0.1.nip.io',
    'https://example。com',
    'https://a.example.com ',
    'https://a.example.com\n',
    ' https://a.example.com',
  ])('%j is refused', (text) => {
    expect(originProblem(text, false)).toMatchObject({
      message: expect.stringMatching(/./),
      fix: expect.stringMatching(/./),
    });
  });
  it.each(['http://127.0.0.1:8080', 'http://localhost:3000', 'http://[::1]:3000', 'https://localhost'])(
    '%s only under keywarden dev',
    (text) => {
      expect(originProblem(text, true)).toBeNull();
      expect(originProblem(text, false)).not.toBeNull();
    },
  );
  it.each([
    'http://10.0.0.1',
    'http://a.example.com',
    'http://127.0.0.2',
    'http://0.0.0.0',
    'http://localhost.evil.com',
    'http://127.0.0.1@evil.com',
  ])('%s not even there', (text) => {
    expect(originProblem(text, true)).not.toBeNull();
  });
});

describe('a refused origin says what helps', () => {
  it.each([
    ['http://127.0.0.1:8080', 'check with --dev'],
    ['http://localhost', 'check with --dev'],
    ['http://a.example.com', "write 'https://a.example.com'"],
    ['http://10.0.0.1:80', "write 'http://10.0.0.1'"],
    ['http://10.0.0.1:8080', 'write the name of the public server'],
    ['http://intranet', 'write the full public name'],
  ])('%s: %s', (text, fix) => {
    expect(originProblem(text, false)?.fix).toContain(fix);
  });
  it('a redirect never leads to loopback, and no --dev is promised for it', () => {
    const text = serviceYaml(RIGHT, 'response: { redirects: ["http://localhost:9", "https://b.example.com"] }\n');
    for (const allowLoopbackHttp of [true, false]) {
      const compiled = compilePolicies([{ name: 'a.yaml', text }], { allowLoopbackHttp });
      expect(compiled).toMatchObject({
        ok: false,
        error: [{ line: 4, column: 25, fix: 'name a public https origin' }],
      });
    }
  });
});

describe('shapes that people write', () => {
  it('methods by alternatives, several entries, conditions of their own, units', () => {
    const policy = policyOf(
      `capabilities:
  r: { allow: ["GET|HEAD /a", { match: "* /b/{id}", when: params.id != "x" }], limit: 5/second }
  s: { allow: { match: POST /c }, limit: 1000/day, approval: required }
`,
      'max_body: 64KiB\ntimeout: 2m\nidle_timeout: 500ms\nheaders: { drop: [X-Debug], set: { Stripe-Version: "2026-01-01", X-Atlassian-Token: no-check } }\n',
    );
    expect(policy.capabilities[0]?.allow.map(({ method, text, when }) => [method, text, when])).toEqual([
      ['GET', 'GET|HEAD /a', null],
      ['HEAD', 'GET|HEAD /a', null],
      ['*', '* /b/{id}', 'params.id != "x"'],
    ]);
    expect(policy.capabilities[0]?.limit).toEqual({ count: 5, periodMs: 1000, burst: 5 });
    expect(policy.capabilities[1]?.approval).toEqual({ when: null, reviewers: null, count: 1, ttlMs: 900_000 });
    expect(policy).toMatchObject({
      maxBodyBytes: 65_536,
      timeoutMs: 120_000,
      idleTimeoutMs: 500,
      dropHeaders: ['x-debug'],
      defaultHeaders: { 'stripe-version': '2026-01-01' },
    });
  });
});

describe("the project's own policies", () => {
  it('compile', () => {
    const dir = new URL('../../policies/', import.meta.url);
    const files = readdirSync(dir)
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => ({ name, text: readFileSync(new URL(name, dir), 'utf8') }));
    expect(files.length).toBeGreaterThan(5);
    expect(compilePolicies(files, { allowLoopbackHttp: false })).toMatchObject({ ok: true });
  });
});
