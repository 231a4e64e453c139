import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkpointLineOf, exportLineOf } from '../../src/audit/export-line.ts';
import { chainOf, headOf } from '../support/audit-rows.ts';
import { BIN, type Ended, ended, keywarden, scratch } from './command-line.ts';

/** `audit verify FILE`, without an edge: what somebody may do to a file, and what is said of it. */
const LEDGER = 'c'.repeat(64);
const rows = chainOf(LEDGER, 4);
const place = scratch();
let lines: readonly string[];
let jwks: string;

beforeAll(async () => {
  const keys = await generateKeyPair('EdDSA');
  const content = { iss: 'https://edge.example', iat: 1_800_000_009, heads: [headOf(rows, LEDGER)], rows: 4 };
  const jws = await new CompactSign(new TextEncoder().encode(JSON.stringify(content)))
    .setProtectedHeader({ alg: 'EdDSA', kid: 'edge', typ: 'keywarden-checkpoint+jwt' })
    .sign(keys.privateKey);
  lines = [...rows.map(exportLineOf), checkpointLineOf(jws)];
  const key = { ...(await exportJWK(keys.publicKey)), kid: 'edge', alg: 'EdDSA' };
  jwks = place.file('jwks.json', JSON.stringify({ keys: [key] }));
});
afterAll(() => place.remove());

const verify = (content: string | Buffer, ...args: string[]): Promise<Ended> => {
  writeFileSync(join(place.path, 'audit.ndjson'), content);
  return keywarden(['audit', 'verify', 'audit.ndjson', '--jwks', jwks, ...args], { cwd: place.path });
};
const text = (edit: (all: string[]) => string[] = (all) => all): string => `${edit([...lines]).join('\n')}\n`;

const BROKEN = 'not ok: the audit cannot be trusted as it is';

describe('keywarden audit verify FILE', () => {
  it('says what it looked at, who signed it and when; exit 0', async () => {
    expect(await verify(text())).toEqual({
      code: 0,
      stdout:
        'audit.ndjson: 4 rows in 1 ledger; checkpoint of 2027-01-15T08:00:09.000Z signed by https://edge.example\n' +
        'ok: nothing was altered, dropped, added or reordered\n',
      stderr: '',
    });
  });

  it('- is standard input, so that an export can be piped', async () => {
    const child = spawn(process.execPath, [BIN, 'audit', 'verify', '-', '--jwks', jwks]);
    child.stdin.end(text());
    expect(await ended(child)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^-: 4 rows .*\nok: /) });
  });

  it.each<[string, () => string]>([
    ['ends of lines as on Windows', () => text().replaceAll('\n', '\r\n')],
    ['a byte order mark', () => `\ufeff${text()}`],
    ['empty lines', () => text((all) => all.flatMap((line) => ['', line]))],
    ['no last end of line', () => text().trimEnd()],
  ])('%s: harmless', async (_, content) => {
    expect(await verify(content())).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok: /m) });
  });

  it.each<[string, () => string | Buffer, string[]]>([
    [
      'a member more',
      () => text((all) => all.with(1, (all[1] as string).replace('{', '{"note":"x",'))),
      ['broken: audit.ndjson, line 2: has more than the edge writes: "note"'],
    ],
    [
      'a row altered',
      () => text((all) => all.with(1, (all[1] as string).replace('agent-1', 'agent-2'))),
      ['broken: audit.ndjson, line 2: ledger cccccccccccc…, row 2: altered: its content does not give its hash'],
    ],
    [
      'a row removed',
      () => text((all) => all.toSpliced(1, 1)),
      ['broken: audit.ndjson: ledger cccccccccccc…, row 2: missing'],
    ],
    [
      'a line that tries to move the terminal',
      () => text((all) => all.toSpliced(1, 0, '{"\u202e\u009b2J\\u001b[2J":1}')),
      [
        'broken: audit.ndjson, line 2: has more than the edge writes: "\\u{202e}\\u{9b}2J\\u001b[2J"',
        'broken: audit.ndjson, line 2: lacks "ledger", "seq", "at", "event", "requestId" and 21 more',
      ],
    ],
    [
      'a byte that is no text',
      () =>
        Buffer.concat([
          Buffer.from(`${lines[0]}\n`),
          Buffer.from([0xff, 0x0a]),
          Buffer.from(text((all) => all.slice(1))),
        ]),
      ['broken: audit.ndjson, line 2: is not UTF-8'],
    ],
    [
      'the end cut off',
      () => text((all) => all.slice(0, 3)),
      ['broken: audit.ndjson: there is no checkpoint: the end of the export is cut off'],
    ],
  ])('%s is told by file and line; exit 1', async (_, content, told) => {
    const { code, stdout, stderr } = await verify(content());
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const said = stdout.trimEnd().split('\n');
    expect(said.slice(0, -2)).toEqual(told);
    expect(said.at(-1)).toBe(BROKEN);
  });

  it('--json names line, ledger and row', async () => {
    const { code, stdout } = await verify(
      text((all) => all.with(1, 'x').with(2, 'y')),
      '--json',
    );
    expect(code).toBe(1);
    const { ok, checkpoint, problems } = JSON.parse(stdout) as Record<string, unknown>;
    expect({ ok, checkpoint, problems }).toEqual({
      ok: false,
      checkpoint: 'verified',
      problems: [
        { line: 2, ledger: null, seq: null, problem: expect.stringMatching(/^is no JSON/) },
        { line: 3, ledger: null, seq: null, problem: expect.stringMatching(/^is no JSON/) },
        { line: null, ledger: LEDGER, seq: 2, problem: expect.stringMatching(/row 2 to 3: missing$/) },
      ],
    });
  });

  it('without keys nothing is called proven', async () => {
    const file = place.file('whole.ndjson', text());
    const { code, stdout } = await keywarden(['audit', 'verify', file]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /checkpoint of 2027-01-15T08:00:09.000Z, its signature NOT CHECKED\nok, but unproven: .*--jwks/,
    );
  });

  it.each<[string, () => string[], RegExp]>([
    ['no file', () => ['none.ndjson'], /there is no file none\.ndjson\n.*audit export --out/],
    ['a folder', () => ['.'], /\. is a folder, not an export/],
    ['no keys', () => ['audit.ndjson', '--jwks', 'none.json'], /the keys cannot be read: .*none\.json/],
    ['keys that are no JSON', () => ['audit.ndjson', '--jwks', 'audit.ndjson'], /holds no JWKS: it is no JSON/],
    [
      'keys of another shape',
      () => ['audit.ndjson', '--jwks', place.file('k.json', '{}')],
      /holds no JWKS: it has no list "keys"/,
    ],
    ['an empty set of keys', () => ['audit.ndjson', '--jwks', place.file('e.json', '{"keys":[]}')], /holds no keys/],
    [
      'keys from far away in the clear',
      () => ['audit.ndjson', '--jwks', 'http://edge.example/jwks'],
      /is not encrypted.*\n.*https/,
    ],
  ])('%s: nothing was verified, exit 125', async (_, args, said) => {
    await verify(text());
    const { code, stdout, stderr } = await keywarden(['audit', 'verify', ...args()], { cwd: place.path });
    expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
    expect(stderr).toMatch(said);
    expect(stderr).not.toContain('bug');
  });
});
