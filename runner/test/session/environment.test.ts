import { expect, it } from 'vitest';
import { checkSizes, environmentOf } from '../../src/session/environment.ts';

it('a variable is set whatever its name', () => {
  expect(Object.entries(environmentOf(['__proto__=x', 'constructor=y'], false, {}))).toEqual(
    expect.arrayContaining([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ]),
  );
});

it('what Linux would hand to no program is refused by its name, without its value', () => {
  const longest = 'v'.repeat(131_072 - 'A=\0'.length);
  expect(() => checkSizes({ A: longest })).not.toThrow();
  expect(() => checkSizes({ A: `${longest}v` })).toThrow(/^the variable A is longer than 128 KiB/);
  const eight = Object.fromEntries([...'ABCDEFGH'].map((name) => [name, longest]));
  expect(() => checkSizes(eight)).toThrow(/^the environment is larger than 1 MB in all$/);
});

it('nothing is inherited but how the terminal looks and which language is spoken', () => {
  const outer = {
    TERM: 'xterm',
    COLORTERM: 'truecolor',
    LANG: 'de_DE.UTF-8',
    LC_ALL: 'C',
    TZ: 'Europe/Berlin',
    NO_COLOR: '1',
    PATH: '/evil',
    HOME: '/root',
    AWS_SECRET_ACCESS_KEY: 'x',
    KEYWARDEN_TOKEN: 'x',
    LD_PRELOAD: '/evil.so',
  };
  expect({ ...environmentOf([], false, outer) }).toEqual({
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/home/agent',
    USER: 'agent',
    LOGNAME: 'agent',
    SHELL: '/bin/sh',
    TMPDIR: '/tmp',
    TERM: 'xterm',
    COLORTERM: 'truecolor',
    LANG: 'de_DE.UTF-8',
    LC_ALL: 'C',
    TZ: 'Europe/Berlin',
    NO_COLOR: '1',
  });
});

it('what looks like no name of a terminal or a language is not taken over', () => {
  for (const odd of ['', 'x\u001b[31m', 'ü', 'x'.repeat(129)]) {
    const env = environmentOf([], false, { TERM: odd, LANG: odd, TZ: odd });
    expect([env['TERM'], env['LANG'], env['TZ']]).toEqual(['dumb', 'C.UTF-8', undefined]);
  }
});

it("the edge's address is there when there is an edge, and cannot be set otherwise", () => {
  expect(environmentOf([], true, {})['KEYWARDEN_URL']).toBe('http://127.0.0.1:8787');
  expect(environmentOf([], false, {})['KEYWARDEN_URL']).toBeUndefined();
  expect(() => environmentOf(['KEYWARDEN_URL=http://evil.example'], true, {})).toThrow(
    /keywarden sets this one itself/,
  );
  expect(() => environmentOf(['KEYWARDEN_TOKEN'], true, { KEYWARDEN_TOKEN: 'x' })).toThrow(/keywarden sets this one/);
});

it('what is given is taken as it is, the last one of a name', () => {
  const env = environmentOf(['A=1', 'A=2=3', 'B', 'EMPTY=', 'HOME=/work'], false, { B: 'outer', C: 'other' });
  expect([env['A'], env['B'], env['C'], env['EMPTY'], env['HOME']]).toEqual(['2=3', 'outer', undefined, '', '/work']);
});

it.each([
  ['9A=x', /not the name of an environment variable/],
  ['=x', /not the name of an environment variable/],
  ['A-B=x', /not the name of an environment variable/],
  ['A B=x', /not the name of an environment variable/],
  ['MISSING', /it is not set here/],
  ['A=x\0y', /holds a NUL/],
])('--env %j is wrong usage', (given, why) => expect(() => environmentOf([given], false, {})).toThrow(why));
