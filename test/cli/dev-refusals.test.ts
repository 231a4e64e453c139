import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readVars, SETTINGS } from '../../runner/src/edge/vars.ts';
import { readWorkerSettings } from '../../runner/src/edge/worker-settings.ts';
import { begin, type Ended, ended, keywarden, scratch, dev as serve } from './command-line.ts';
import { WIDGETS_KEY, widgetPolicy } from './policies.ts';

let place: ReturnType<typeof scratch>;
beforeEach(() => {
  place = scratch();
  place.file('policies/widgets.yaml', widgetPolicy('http://127.0.0.1:9'));
  place.file('vars.env', `WIDGETS_KEY=${WIDGETS_KEY}\n`);
});
afterEach(() => place.remove());

const dev = (...more: string[]): Promise<Ended> =>
  keywarden(['dev', '--port', '0', '--policies', 'policies', '--vars', 'vars.env', '--state', 'state', ...more], {
    cwd: place.path,
  });

const refusal = ({ code, stdout }: Ended): unknown => ({ code, stdout });
const REFUSED = { code: 125, stdout: '' };

describe('keywarden dev refuses a broken environment, saying what and how to mend it', () => {
  it('a secret that a policy wants is missing', async () => {
    place.file('vars.env', 'OTHER=x\nWIDGETS_KEY=\n');
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toMatch(/error: the secret WIDGETS_KEY is missing: the policy of widgets wants it/);
    expect(end.stderr).toMatch(/hint: write WIDGETS_KEY=… into .*vars\.env/);
  });

  it('every missing secret is named at once', async () => {
    place.file(
      'policies/gadgets.yaml',
      widgetPolicy('http://127.0.0.1:9').replace('widgets\n', 'gadgets\n').replace('WIDGETS_KEY', 'GADGETS_KEY'),
    );
    place.file('vars.env', '');
    const end = await dev();
    expect(end.stderr).toContain('GADGETS_KEY');
    expect(end.stderr).toContain('WIDGETS_KEY');
    expect(end.stderr).not.toContain('--policies');
    place.file('vars.env', 'GADGETS_KEY=sk_live_gadgets_0123456789');
    expect((await dev()).stderr).toMatch(
      /hint: or serve only .*: --policies DIR, a folder with the policies of gadgets$/m,
    );
  });

  it('the vars file does not exist', async () => {
    const end = await dev('--vars', 'none.env');
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toMatch(/none\.env: it does not exist/);
  });

  it('the vars file sets any other binding of wrangler.toml', () => {
    const { databases, durableObjects } = readWorkerSettings();
    const names = ['ASSETS', ...databases.map(({ binding }) => binding), ...Object.keys(durableObjects)];
    expect(names).toContain('APPROVALS');
    for (const name of names)
      expect(() => readVars(place.file('taken.env', `${name}=x`)), name).toThrow(
        `sets ${name}, which keywarden dev sets`,
      );
  });

  it('the vars file sets what the edge sets itself', async () => {
    place.file('vars.env', `WIDGETS_KEY=${WIDGETS_KEY}\nLEDGER=x\n`);
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toContain('sets LEDGER');
  });

  it('the vars file sets what begins like a setting and is none: as it is spelt the default would count', async () => {
    place.file('vars.env', `WIDGETS_KEY=${WIDGETS_KEY}\nKEYWARDEN_AUDIT_RETENTION_DAY=3\n`);
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toContain('sets KEYWARDEN_AUDIT_RETENTION_DAY, which is no setting of the edge');
    expect(end.stderr).toMatch(/hint: the settings are .*KEYWARDEN_AUDIT_RETENTION_DAYS,/);
  });

  it('every setting of the edge may be set, and no other is known', () => {
    const env = readFileSync(new URL('../../src/env.ts', import.meta.url), 'utf8');
    const names = new Set([...env.matchAll(/readonly (KEYWARDEN_\w+)\??:/g)].map(([, name]) => name));
    expect(names.delete('KEYWARDEN_MODE')).toBe(true);
    expect([...SETTINGS].sort()).toEqual([...names].sort());
  });

  it('the vars file is in UTF-16', () => {
    const file = place.file('utf16.env', '');
    writeFileSync(file, Buffer.from('\uFEFFWIDGETS_KEY=sk_live_x\r\n', 'utf16le'));
    expect(() => readVars(file)).toThrow(/utf16\.env is no UTF-8 text/);
  });

  it('lines of the vars file that set nothing, and names that are set twice: each with its line, none with its content', async () => {
    const lines = [
      `WIDGETS_KEY=${WIDGETS_KEY}`,
      'sk_live_lol',
      '=sk_live_3',
      '',
      '# A=1',
      'export WIDGETS_KEY=sk_live_other',
      'B="sk_live_b" c',
      'D=sk_live_d#of-it',
      'E=#sk_live_e',
      'F=sk_live_f#',
      "C='sk_live_c",
    ];
    place.file('vars.env', lines.join('\n'));
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    for (const problem of [
      'vars.env:2: it is not NAME=value',
      'vars.env:3: there is no name before the =',
      'vars.env:6: WIDGETS_KEY is set already in line 1',
      'vars.env:7: something follows the quoted value of B',
      'vars.env:8: a # within the value of D, which has no quotes, begins a comment: quote it',
      'vars.env:9: a # within the value of E',
      'vars.env:10: a # within the value of F',
      'vars.env:11: the quote before the value of C is never closed',
    ])
      expect(end.stderr).toContain(problem);
    expect(end.stderr).toMatch(/keywarden: hint: one NAME=value a line/);
    expect(end.stderr).not.toContain('sk_live');
  });

  it('what .dev.vars may hold is read: comments, export, quotes, several lines, CRLF', () => {
    const text = [
      '\uFEFF# first',
      'A=1',
      'export B = "two # words" # said',
      'C=\'[{"id":"x"}]\'',
      'D="one\nE=two"',
      "  F=`it's`",
      'G=',
      'H=a=b==',
      'I="x\\ny"',
      'J=x # said',
      "K='x#y' # said",
      'L= # nothing',
    ];
    const quoted = { B: 'two # words', C: '[{"id":"x"}]', D: 'one\nE=two', F: "it's", I: 'x\ny', K: 'x#y' };
    const read = { A: '1', H: 'a=b==', J: 'x', ...quoted };
    expect(readVars(place.file('lf.env', text.join('\n')))).toEqual(read);
    expect(readVars(place.file('crlf.env', text.join('\n').replaceAll('\n', '\r\n')))).toEqual(read);
  });

  it('a policy is wrong: all problems, with file, line and column', async () => {
    place.file(
      'policies/widgets.yaml',
      widgetPolicy('http://127.0.0.1:9').replace('allow: GET', 'alow: GET').replace('scheme: bearer', 'scheme: beerer'),
    );
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toMatch(/policies\/widgets\.yaml:5:\d+: /);
    expect(end.stderr).toMatch(/policies\/widgets\.yaml:9:\d+: /);
  });

  it('there is no policy directory', async () => {
    const end = await dev('--policies', 'nowhere');
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toMatch(/cannot read the policies in .*nowhere/);
  });

  it('the port is in use', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    try {
      const end = await dev('--port', String(port));
      expect(refusal(end)).toEqual(REFUSED);
      expect(end.stderr).toContain(`error: port ${port} on 127.0.0.1 is in use`);
      expect(end.stderr).toContain('--port 0');
    } finally {
      taken.close();
    }
  });

  it('the local database is damaged: its directory is named, and moving it away mends it', async () => {
    const args = ['--policies', 'policies', '--vars', 'vars.env'];
    const state = join(place.path, 'state');
    await (await serve(args, state, { cwd: place.path })).stop();
    const d1 = join(state, 'storage/d1');
    for (const name of readdirSync(d1, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.sqlite') || name.endsWith('metadata.sqlite')) continue;
      writeFileSync(join(d1, name), 'no database '.repeat(500));
      for (const suffix of ['-wal', '-shm']) rmSync(join(d1, name + suffix), { force: true });
    }
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toContain(`error: the local database in ${join(state, 'storage')} cannot be read`);
    expect(end.stderr).toContain(`mv ${join(state, 'storage')} `);
    expect(end.stderr).not.toContain('bug of keywarden');
    renameSync(join(state, 'storage'), join(state, 'storage.damaged'));
    await (await serve(args, state, { cwd: place.path })).stop();
  });

  it('a file of the local storage cannot be opened: workerd does not even start, and that is told the same way', async () => {
    const args = ['--policies', 'policies', '--vars', 'vars.env'];
    const state = join(place.path, 'state');
    await (await serve(args, state, { cwd: place.path })).stop();
    const file = join(state, 'storage/do/keywarden-Ledger/metadata.sqlite');
    for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
    mkdirSync(file);
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toContain(
      `error: the local database in ${join(state, 'storage')} cannot be read: SQLITE_CANTOPEN`,
    );
    expect(end.stderr).toContain(`mv ${join(state, 'storage')} `);
    expect(end.stderr).not.toContain('bug of keywarden');
  });

  it('the address is not one of this machine', async () => {
    expect(refusal(await dev('--host', '192.0.2.1'))).toEqual(REFUSED);
  });

  it.each([
    ['no JSON', 'nonsense'],
    ['a public key', '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}'],
    ['another curve', '{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c","kid":"a"}'],
    [
      'without kid',
      '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}',
    ],
    [
      'halves of two keys',
      '{"kty":"OKP","crv":"Ed25519","x":"AAqYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","kid":"a"}',
    ],
    ['cut short', '{"kty":"OKP","crv":"Ed25519","x":"11qY","d":"nWGx","kid":"a"}'],
  ])('the signing key is damaged: %s; it is neither used nor replaced nor shown', async (_what, text) => {
    place.file('state/signing.jwk', text, 0o600);
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toMatch(/signing\.jwk is no signing key/);
    expect(end.stderr).not.toContain('nWGx');
  });

  it('the operator key is empty', async () => {
    place.file('state/operator.key', '\n', 0o600);
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toMatch(/operator\.key holds no operator key/);
  });

  it.each(['operator.key', 'signing.jwk'])('%s can be read by others', async (name) => {
    place.file(`state/${name}`, 'x', 0o604);
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toMatch(new RegExp(`hint: chmod 600 .*${name}`));
  });

  it.each([
    ['/proc/keywarden/state', 'a place where nothing can be made'],
    ['/proc/version', 'a file'],
  ])('the state directory is %s, %s', async (directory) => {
    const end = await keywarden(['dev', '--policies', 'policies', '--vars', 'vars.env', '--state', directory], {
      cwd: place.path,
    });
    expect(end.code).toBe(125);
    expect(end.stderr).toContain(`cannot use the state directory ${directory}`);
  });

  it('the state directory cannot be made', async () => {
    place.file('state', 'a file');
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toMatch(/cannot use the state directory/);
  });

  it('a directory of others that is full of other things is left as it is', async () => {
    place.file('state/other', 'theirs');
    chmodSync(join(place.path, 'state'), 0o777);
    const end = await dev();
    expect(refusal(end)).toEqual(REFUSED);
    expect(end.stderr).toMatch(/it is open to others and holds what is not of keywarden/);
    expect(statSync(join(place.path, 'state')).mode & 0o777).toBe(0o777);
  });

  it('no refusal leaves a lock behind', async () => {
    place.file('vars.env', '');
    await dev();
    expect(readdirSync(join(place.path, 'state')).sort()).toEqual(['operator.key', 'signing.jwk', 'storage']);
  });

  it('a state directory of others is closed to them before keys are made in it', async () => {
    mkdirSync(join(place.path, 'state'), { mode: 0o755 });
    chmodSync(join(place.path, 'state'), 0o755);
    place.file('vars.env', '');
    const child = begin(['dev', '--policies', 'policies', '--vars', 'vars.env', '--state', 'state'], {
      cwd: place.path,
    });
    await ended(child);
    expect(statSync(join(place.path, 'state')).mode & 0o777).toBe(0o700);
    expect(statSync(join(place.path, 'state/operator.key')).mode & 0o777).toBe(0o600);
  });
});
