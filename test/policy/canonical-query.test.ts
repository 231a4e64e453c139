import { describe, expect, it } from 'vitest';
import { canonicalQueryOf, MAX_QUERY_LENGTH } from '../../src/policy/canonical-query.ts';

describe('a query', () => {
  it.each([
    ['', ''],
    ['a=1&b=%20&c=+&d', 'a=1&b=%20&c=+&d'],
    ['a=%zz&&;', 'a=%zz&&;'],
    [`a="'<>`, 'a=%22%27%3C%3E'],
  ])('is judged and sent as it came, but for what the URL parser would escape: %j', (raw, canonical) => {
    expect(canonicalQueryOf(raw)).toEqual({ ok: true, value: canonical });
    const sent = new URL(`https://upstream.example/?${canonical}`);
    expect(sent.search.slice(1)).toBe(canonical);
  });

  it.each(['a b', 'a\t', 'a\n', 'a\u0000', 'a\u007f', 'é', 'a=1#b', '#'])(
    'that another reader would read otherwise is refused: %j',
    (raw) => expect(canonicalQueryOf(raw)).toMatchObject({ ok: false }),
  );

  it('is as long as the bound, and no longer', () => {
    expect(canonicalQueryOf('a'.repeat(MAX_QUERY_LENGTH)).ok).toBe(true);
    expect(canonicalQueryOf('a'.repeat(MAX_QUERY_LENGTH + 1)).ok).toBe(false);
  });
});
