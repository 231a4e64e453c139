import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseSecretSources, readSecret } from '../../src/session/secret-sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'keywarden-secrets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const VALUE = 'hunter2-Sesam';
const parsed = (text: string) => parseSecretSources([text], []).map(({ name, from }) => ({ name, ...from }))[0];

describe('where a secret is', () => {
  it.each([
    ['DB', { name: 'DB', kind: 'env', variable: 'DB' }],
    ['DB=env:OTHER', { name: 'DB', kind: 'env', variable: 'OTHER' }],
    ['DB=file:/a=b:c', { name: 'DB', kind: 'file', path: '/a=b:c' }],
    ['DB=command:pass show a=b\n', { name: 'DB', kind: 'command', command: 'pass show a=b\n' }],
  ])('%j', (text, source) => expect(parsed(text)).toEqual(source));

  it.each([
    [`DB=${VALUE}`, /say where it is, never what it is/],
    [`DB=env:${VALUE}`, /not the name of an environment variable/],
    [`DB=ENV:${VALUE}`, /say where it is/],
    ['DB=file:', /say where it is/],
    ['DB=', /say where it is/],
    ['9DB', /not the name of an environment variable/],
    ['', /not the name of an environment variable/],
    ['D-B', /not the name of an environment variable/],
    ['D'.repeat(65), /not the name of an environment variable/],
    ...[
      'KEYWARDEN_TOKEN',
      'LD_PRELOAD',
      'LD_LIBRARY_PATH',
      'PATH',
      'HOME',
      'BASH_ENV',
      'ENV',
      'NODE_OPTIONS',
      'PYTHONSTARTUP',
    ].map((name): [string, RegExp] => [name, /not yours to set/]),
  ])('%j is wrong usage, and no value is shown', (text, why) => {
    expect(() => parsed(text)).toThrow(why);
    expect(() => parsed(text)).not.toThrow(VALUE);
  });

  it('is given once', () => {
    expect(() => parseSecretSources(['A', 'B', 'A=env:C'], [])).toThrow('--secret A is given twice');
    expect(() => parseSecretSources(['A', 'B'], ['B=x'])).toThrow('B is given twice');
    expect(parseSecretSources(['A', 'B'], ['AB=x', 'C'])).toHaveLength(2);
  });
});

describe('what a secret is', () => {
  const fileWith = (text: string) => {
    const path = join(folder, 'secret');
    writeFileSync(path, text);
    return readSecret({ name: 'DB', from: { kind: 'file', path } });
  };
  it('its one last newline is none of it, from wherever it comes', () => {
    expect(fileWith(`${VALUE}\n`)).toBe(VALUE);
    expect(fileWith(`${VALUE}\r\n`)).toBe(VALUE);
    expect(fileWith(` ${VALUE} \n\n`)).toBe(` ${VALUE} \n`);
    const command = (text: string) => readSecret({ name: 'DB', from: { kind: 'command', command: text } });
    expect(command(`echo ${VALUE}`)).toBe(VALUE);
    expect(readSecret({ name: 'DB', from: { kind: 'env', variable: 'V' } }, { V: VALUE })).toBe(VALUE);
    expect(() => command(`echo ${VALUE}; exit 3`)).toThrow(/^the secret DB: its command failed with 3$/);
  });

  it.each([
    ['none', '', /is empty$/],
    ['a newline alone', '\n', /is empty$/],
    ['too long', `${VALUE}${'x'.repeat(65_536)}`, /is longer than 65536 bytes$/],
    ['with a NUL', `${VALUE}\0`, /holds a NUL/],
  ])('%s is refused by its name, and no value is shown', (_, text, why) => {
    expect(() => fileWith(text)).toThrow(why);
    expect(() => fileWith(text)).not.toThrow(VALUE);
    expect(fileWith('x'.repeat(65_536))).toHaveLength(65_536);
  });

  it('bytes that are no text are refused, not altered on their way', () => {
    const bytes = Buffer.from(`${VALUE}\xff`, 'latin1');
    const path = join(folder, 'bytes');
    writeFileSync(path, bytes);
    const sources = [
      { kind: 'file', path },
      { kind: 'command', command: `cat ${path}` },
      { kind: 'env', variable: 'V' },
    ] as const;
    // As Node hands on such a variable.
    const env = { V: bytes.toString('utf8') };
    for (const from of sources)
      expect(() => readSecret({ name: 'DB', from }, env)).toThrow(/^the secret DB is no text in/);
    expect(fileWith('pässwörd')).toBe('pässwörd');
  });

  it('what has no end, or is deaf to being ended, has one', () => {
    expect(() => readSecret({ name: 'DB', from: { kind: 'file', path: '/dev/zero' } })).toThrow(/is longer than/);
    const command = (text: string, ms?: number) =>
      readSecret({ name: 'DB', from: { kind: 'command', command: text } }, {}, ms);
    expect(() => command('yes')).toThrow(/is longer than/);
    // The last of its own children would keep the pipe open, too.
    expect(() => command('trap "" TERM; while :; do sleep 1; done', 300)).toThrow(/failed to end within 0.3 s$/);
  });

  it('what is not there is told by where it should be', () => {
    const missing = { kind: 'file', path: join(folder, 'missing') } as const;
    expect(() => readSecret({ name: 'DB', from: missing })).toThrow(/cannot read .*missing: ENOENT$/);
    expect(() => readSecret({ name: 'DB', from: { kind: 'env', variable: 'V' } }, {})).toThrow(/: V is not set$/);
  });
});
