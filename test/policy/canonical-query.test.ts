import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalQueryOf, MAX_QUERY_LENGTH } from '../../src/policy/canonical-query.ts';

const query = fc.string({
  unit: fc.oneof(fc.constantFrom(...'ab=&+%;#?/\\|^`{}[]"\'<>~! \t\0é', '%20', '%2', '%zz', '%00', '..'), fc.string()),
  maxLength: 20,
});

describe('the one form of a query', () => {
  it('is its own form, and what the URL parser sends', () => {
    fc.assert(
      fc.property(query, (raw) => {
        const canonical = canonicalQueryOf(raw);
        if (!canonical.ok) return;
        expect(canonicalQueryOf(canonical.value)).toEqual(canonical);
        expect(new URL(`https://api.example.com/x?${canonical.value}`).href).toBe(
          `https://api.example.com/x?${canonical.value}`,
        );
      }),
      { seed: 7, numRuns: 2000 },
    );
  });

  it('holds the names and values that were received', () => {
    fc.assert(
      fc.property(query, (raw) => {
        const canonical = canonicalQueryOf(raw);
        if (canonical.ok)
          expect([...new URLSearchParams(`?${canonical.value}`)]).toEqual([...new URLSearchParams(`?${raw}`)]);
      }),
      { seed: 7, numRuns: 2000 },
    );
  });

  it.each(['a b', 'a\tb', 'a\nb', 'a#b', 'é', 'a\u007f', 'a'.repeat(MAX_QUERY_LENGTH + 1)])('refuses %j', (raw) => {
    expect(canonicalQueryOf(raw).ok).toBe(false);
  });
});
