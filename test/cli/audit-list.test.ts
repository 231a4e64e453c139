import { execFile } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AuditListResponse, AuditRowJson } from '../../src/protocol.ts';
import { BREAKS_OFF, type FakeEdge, startFakeEdge } from '../support/fake-edge.ts';
import { BIN, begin, type Ended, keywarden, until } from './command-line.ts';

/** `audit list` and what it makes of an edge's answers, be they hostile. */
let edge: FakeEdge;
beforeAll(async () => {
  edge = await startFakeEdge();
});
afterAll(() => edge.stop());
beforeEach(() => {
  edge.asked.length = 0;
  answer([row(1)]);
});

const row = (seq: number, changes: Partial<AuditRowJson> = {}): AuditRowJson => ({
  ledger: 'c'.repeat(64),
  seq,
  at: `2026-11-27T03:44:${String(seq).padStart(2, '0')}.104Z`,
  event: 'call.completed',
  request_id: `r-${seq}`,
  agent: 'demo',
  session: null,
  token_id: null,
  capability: 'bank:read',
  service: 'bank',
  method: 'GET',
  path: '/v1/balance',
  query_names: null,
  decision: null,
  reason: null,
  status: 200,
  request_bytes: null,
  response_bytes: null,
  duration_ms: null,
  redactions: null,
  request_hash: null,
  policy_hash: null,
  operator: null,
  detail: {},
  prev_hash: '0'.repeat(64),
  hash: '0'.repeat(64),
  ...changes,
});
/** Newest first, as the edge has it. */
const answer = (rows: AuditRowJson[], more: Partial<AuditListResponse> = {}): void =>
  edge.answer('/v1/audit', { rows: [...rows].reverse(), next_cursor: null, ...more });
const list = (...args: string[]): Promise<Ended> => keywarden(['audit', 'list', ...args], { env: edge.env });

/** Runs it in a terminal of so many columns; python3 has one to give. */
const PTY = `
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])
out = b""
while True:
    try: got = os.read(fd, 65536)
    except OSError: break
    if not got: break
    out += got
sys.stdout.buffer.write(out)
os.waitpid(pid, 0)
`;
const inTerminal = (columns: number, ...args: string[]): Promise<string[]> =>
  new Promise((resolve, reject) => {
    execFile(
      'python3',
      ['-c', PTY, String(columns), process.execPath, BIN, ...args],
      { env: { PATH: process.env['PATH'], NO_COLOR: '1', ...edge.env } },
      (error, out) => (error === null ? resolve(out.replaceAll('\r\n', '\n').trimEnd().split('\n')) : reject(error)),
    );
  });

it('lists oldest first, with --json newest first as the edge does, and its help says both', async () => {
  answer([row(1), row(2)]);
  expect([...(await list()).stdout.matchAll(/T03:44:(\d\d)/g)].map((match) => match[1])).toEqual(['01', '02']);
  const { rows } = JSON.parse((await list('--json')).stdout) as AuditListResponse;
  expect(rows.map(({ seq }) => seq)).toEqual([2, 1]);
  const help = (await list('--help')).stdout.replaceAll(/\s+/g, ' ');
  expect(help).toContain('the newest rows, oldest first');
  expect(help).toContain('print { rows, next_cursor }, newest first');
});

describe('the table', () => {
  const wide = row(2, {
    agent: 'a'.repeat(128),
    path: `/${'p'.repeat(500)}`,
    event: 'call.denied',
    reason: 'path_refused',
    status: null,
  });

  it('into a pipe is aligned by its content, and nothing of it is cut', async () => {
    answer([row(1), wide]);
    const { code, stdout, stderr } = await list();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [heading = '', first = '', second = ''] = stdout.split('\n');
    for (const [word, one, other] of [
      ['AGENT', 'demo', 'a'.repeat(128)],
      ['EVENT', 'call.completed', 'call.denied'],
      ['CAPABILITY', 'bank:read', 'bank:read'],
      ['RESULT', '200', 'path_refused'],
      ['WHAT', 'GET bank/v1/balance', `GET bank/${'p'.repeat(500)}`],
    ] as const) {
      const at = heading.indexOf(word);
      expect([first, second].map((line) => line.slice(at).startsWith(line === first ? one : other))).toEqual([
        true,
        true,
      ]);
    }
  });

  it.each([80, 100, 132, 250])(
    'on a terminal of %d columns fits into its lines, and says where it was cut',
    async (columns) => {
      answer([row(1), wide]);
      const lines = await inTerminal(columns, 'audit', 'list');
      expect(lines).toHaveLength(3);
      for (const line of lines) expect([...line].length).toBeLessThanOrEqual(columns);
      expect(lines[1]).toMatch(/^2026-11-27T03:44:01\.104Z {2}demo /);
      expect(lines[2]).toMatch(/aaaa… {2}call\.denied .* {2}GET.*…$/);
    },
  );

  it('says of what is no call who did it, and what', async () => {
    answer([
      row(1, {
        event: 'stop.placed',
        method: null,
        path: null,
        status: null,
        agent: null,
        capability: null,
        operator: 'ann',
        detail: { tokens: 3 },
      }),
    ]);
    expect((await list()).stdout).toMatch(/-\s+stop\.placed\s+-\s+-\s+bank by ann tokens=3\n$/);
  });

  it('without rows says so, and by which filters; with more than were asked for, too', async () => {
    answer([]);
    expect(await list('--agent', 'demo', '--decision', 'deny')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'keywarden: no row fits: --agent demo --decision deny\n',
    });
    expect((await list()).stderr).toBe('keywarden: no row fits: nothing is recorded yet\n');
    answer([row(1)], { waiting_rows: 1 });
    expect((await keywarden(['audit', 'list'], { env: edge.env })).stderr).toBe(
      'keywarden: 1 row waiting in the ledgers, not listed yet\n',
    );
    answer([row(1)], { next_cursor: 'x', waiting_rows: 7 });
    expect((await list('--limit', '1')).stderr).toBe(
      'keywarden: there are older rows: narrow it, or add --cursor x\nkeywarden: 7 rows waiting in the ledgers, not listed yet\n',
    );
  });

  it('with --follow has one heading, however long nothing comes, and stays aligned', async () => {
    answer([]);
    const child = begin(['audit', 'list', '--follow'], { env: edge.env });
    let out = '';
    child.stdout?.on('data', (chunk) => (out += String(chunk)));
    await until(() => edge.asked.length >= 3);
    answer([row(1)]);
    await until(() => out.includes('03:44:01'));
    answer([row(1), row(2, { agent: 'longer-name' })]);
    await until(() => out.includes('03:44:02'));
    answer([row(1), row(2, { agent: 'longer-name' }), row(3)]);
    await until(() => out.includes('03:44:03'));
    child.kill();
    const lines = out.trimEnd().split('\n');
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/^TIME/);
    expect(lines[3]?.indexOf('call.completed')).toBe(lines[2]?.indexOf('call.completed'));
  });
});

describe('what somebody wrote into the audit cannot act on a terminal', () => {
  const EVIL = 'x\u001b[2J\u009b31m\u0007\r\b\u202e\u2066\u200b\u2028\u0085\n\ty';
  const evil = row(1, {
    event: EVIL,
    agent: EVIL,
    capability: EVIL,
    service: EVIL,
    path: EVIL,
    query_names: EVIL,
    reason: EVIL,
    status: null,
  });
  const note = row(2, { method: null, operator: EVIL, detail: { [EVIL]: EVIL } });
  const harmful = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

  it.each([[[]], [['--json']]])('audit list %j', async (args) => {
    answer([evil, note]);
    const { code, stdout } = await list(...args);
    expect(code).toBe(0);
    expect(stdout).not.toMatch(harmful);
    if (args.length === 0) expect(stdout.trimEnd().split('\n')).toHaveLength(3);
    else expect((JSON.parse(stdout) as AuditListResponse).rows).toContainEqual(evil);
  });

  it('on a terminal neither, and no half of a character is left where it is cut', async () => {
    answer([evil, row(2, { path: `/${'😀'.repeat(300)}` })]);
    const lines = await inTerminal(81, 'audit', 'list');
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\ufffd]/u);
  });

  it('an export that is shown on a terminal; into a pipe it stays as it is', async () => {
    const line = `${JSON.stringify({ type: 'checkpoint', agent: 'x\u009b2J\u202e\u2028' })}\n`;
    edge.answer('/v1/audit/export', line);
    const shown = await inTerminal(80, 'audit', 'export');
    expect(shown.join('\n')).not.toMatch(harmful);
    expect(JSON.parse(shown.join(''))).toEqual(JSON.parse(line));
    expect((await keywarden(['audit', 'export'], { env: edge.env })).stdout).toBe(line);
  });

  it("an edge's refusal", async () => {
    const words = { type: EVIL, title: EVIL, status: 400, detail: EVIL, instance: EVIL, code: EVIL, message: EVIL };
    edge.answer('/v1/audit', { ...words, error: { message: EVIL, type: EVIL, code: EVIL } }, 400);
    const { code, stderr } = await list();
    expect(code).toBe(125);
    expect(stderr).toMatch(/the edge refuses: x/);
    expect(stderr.replaceAll('\t', '')).not.toMatch(harmful);
  });
});

describe('a filter that fits nothing that could be is wrong usage, and says what could be', () => {
  it.each<[string[], RegExp]>([
    [['--event', 'nope'], /'nope' is invalid.*call\.admitted, call\.denied, .*operator\.denied/],
    [['--event', ''], /call\.admitted/],
    [['--event', 'CALL.DENIED'], /call\.admitted/],
    [['--decision', 'maybe'], /allow, deny/],
    [['--since', 'tomorrow-ish'], /90s, 15m, 1h, 7d.*2026-01-31.*2026-01-31T12:00:00Z/],
    [['--since', ''], /2026-01-31T12:00:00Z/],
    [['--since', '2026-02-30'], /2026-01-31T12:00:00Z/],
    [['--since', '2026-01-31T25:00:00Z'], /2026-01-31T12:00:00Z/],
    [['--since', '2026-01-31T12:00:00'], /2026-01-31T12:00:00Z/],
    [['--since', '2999-01-01'], /in the future/],
    [['--since', '0s'], /90s/],
    [['--limit', '0'], /1 to 1000/],
    [['--limit', '-1'], /1 to 1000/],
    [['--limit', 'abc'], /1 to 1000/],
    [['--limit', '1.5'], /1 to 1000/],
    [['--limit', '1e2'], /1 to 1000/],
    [['--limit', '1001'], /1 to 1000/],
    [['--limit', ''], /1 to 1000/],
    [['--agent', 'no one'], /An agent id is 1 to 128 of/],
    [['--agent', ''], /An agent id is 1 to 128 of/],
    [['--session', 'a b'], /A session id is 1 to 128 of/],
    [['--capability', 'bank'.toUpperCase()], /A capability is written service:name/],
  ])('%j', async (args, said) => {
    const { code, stdout, stderr } = await list(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(said);
    expect(stderr).toContain(args[0]);
    expect(edge.asked).toEqual([]);
  });

  it('what is right goes to the edge as it was meant', async () => {
    await list('--since', '2026-01-31T12:00:00+01:00', '--event', 'call.denied', '--limit', '7', '--agent', 'demo');
    expect(Object.fromEntries(edge.asked[0]?.searchParams ?? [])).toEqual({
      since: '2026-01-31T11:00:00.000Z',
      event: 'call.denied',
      limit: '7',
      agent: 'demo',
    });
    await list('--since', '999999999d');
    expect(edge.asked[1]?.searchParams.get('since')).toBe('1970-01-01T00:00:00.000Z');
  });
});

it('an answer that breaks off is told, and is no bug', async () => {
  edge.answer('/v1/audit/export', BREAKS_OFF);
  for (const command of ['export', 'verify']) {
    edge.answer('/.well-known/jwks.json', { keys: [{}] });
    const { code, stderr } = await keywarden(['audit', command], { env: edge.env });
    expect(code).toBe(125);
    expect(stderr).toMatch(/the answer of http:\S+ broke off/);
  }
});
