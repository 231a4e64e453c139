import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { issueWords } from '../../src/lib/issue-words.ts';

const Shape = z.strictObject({
  name: z.string().check(z.minLength(2), z.maxLength(4)),
  kind: z.enum(['fast', 'slow']),
  count: z.optional(z.int().check(z.minimum(1), z.lt(10))),
  list: z.optional(z.array(z.string()).check(z.minLength(1))),
  at: z.optional(z.iso.datetime()),
  own: z.optional(z.string().check(z.regex(/^a$/, 'it must be a'))),
  flag: z.optional(z.literal(true)),
});
const fits = { name: 'abc', kind: 'fast' };

/** What is said of a value, by the field that it is said of. */
function saidOf(value: unknown): readonly string[] {
  const { error } = Shape.safeParse(value, { error: issueWords });
  return (error?.issues ?? []).map((issue) => [...issue.path, issue.message].join(': '));
}

describe('what is wrong with a request', () => {
  it.each<[string, unknown, string[]]>([
    ['of nothing', fits, []],
    ['of what is no object', [], ['it must be an object']],
    ['of what is left out', { kind: 'fast' }, ['name: it is missing']],
    ['of another kind', { ...fits, name: 7, list: 'x' }, ['name: it must be a string', 'list: it must be a list']],
    ['of null', { ...fits, name: null }, ['name: it must be a string']],
    ['of a part of a list', { ...fits, list: ['x', 2] }, ['list: 1: it must be a string']],
    ['of a broken number', { ...fits, count: 1.5 }, ['count: it must be a whole number']],
    ['of what is none of a few', { ...fits, kind: 'odd' }, ['kind: it must be one of "fast", "slow"']],
    ['of what is not the only one', { ...fits, flag: false }, ['flag: it must be true']],
    [
      'of too few',
      { ...fits, name: 'a', list: [], count: 0 },
      [
        'name: it must have at least 2 characters',
        'count: it must be at least 1',
        'list: it must have at least 1 entry',
      ],
    ],
    [
      'of too many',
      { ...fits, name: 'abcde', count: 10 },
      ['name: it must have at most 4 characters', 'count: it must be less than 10'],
    ],
    ['of a time', { ...fits, at: 'today' }, ['at: it is no time as 2026-01-31T12:00:00Z']],
    ['of a shape with words of its own', { ...fits, own: 'b' }, ['own: it must be a']],
    [
      'of what nobody asked for',
      { ...fits, 'sk_"live': 1, b: 2 },
      ['it does not take "sk_\\"live", "b"; it takes name, kind, count, list, at, own, flag'],
    ],
  ])('is said %s', (_, value, said) => expect(saidOf(value)).toEqual(said));

  it('never holds the value', () => {
    const value = 'canary-4f1c';
    const said = saidOf({ name: value, kind: value, count: value, list: value, at: value, own: value, flag: value });
    expect(said).toHaveLength(7);
    expect(said.join()).not.toContain(value);
  });
});
