import { describe, expect, it } from 'vitest';
import { closestOf } from '../../src/policy/spelling.ts';

describe('a suggestion is a word that was meant', () => {
  it.each([
    ['limt', 'limit'],
    ['titel', 'title'],
    ['wen', 'when'],
    ['ID', 'id'],
    ['capabilites', 'capabilities'],
  ])('%s is %s', (word, meant) => {
    expect(closestOf(word, ['service', 'capabilities', 'limit', 'title', 'when', 'id'])).toBe(meant);
  });

  it.each([
    ['foo', 'now'],
    ['x', 'y'],
    ['x', 'id'],
    ['ab', 'cd'],
    ['owner', 'item'],
  ])('%s is not %s', (word, other) => {
    expect(closestOf(word, [other])).toBeNull();
  });
});
