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
