import { expect, it } from 'vitest';
import { cursorOf, placeOf } from '../../src/lib/cursor.ts';

it('a cursor that a list gave leads to its place', () => {
  for (const place of [
    [1_800_000_000_000, 'a'],
    [0, 'ledger', 7],
    ['odd', 'ledger', 9007199254740991],
  ])
    expect(placeOf(cursorOf(place)), JSON.stringify(place)).toEqual(place);
});

it('it needs no escaping but that of a plus or a slash', () => {
  expect(cursorOf([1, 'a'])).toMatch(/^[A-Za-z0-9+/]+$/);
});

it.each(['', 'nonsense', '%', btoa('{}'), btoa('null'), btoa('7'), btoa('"[1]"'), btoa('[1'), '💥'])(
  '%j is no cursor, and leads nowhere',
  (text) => {
    expect(placeOf(text)).toEqual([]);
  },
);
