import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalPathOf, decodedSegmentOf } from '../../src/policy/canonical-path.ts';
import { policyOf, verdictOf } from './support.ts';

interface Row {
  path: string;
  must: 'allow' | 'deny';
  wire?: string;
  why: string;
}
const { rows } = JSON.parse(readFileSync(new URL('../data/path-corpus.json', import.meta.url), 'utf8')) as {
  rows: Row[];
};
const policy = policyOf('capabilities: { read: { allow: [GET /v1/balance, "GET /v1/customers/{id}"] } }');

describe('the path corpus (threats A7)', () => {
  it.each(rows.map((row) => [row.why, row] as const))('%s', (_why, row) => {
    const cut = row.path.indexOf('?');
    const raw = cut === -1 ? row.path : row.path.slice(0, cut);
    const query = cut === -1 ? '' : row.path.slice(cut + 1);
    expect(verdictOf(policy, { path: raw, query }) === 'allow' ? 'allow' : 'deny').toBe(row.must);
    const canonical = canonicalPathOf(raw);
    if (row.must === 'allow') expect(canonical.ok && canonical.value + (cut === -1 ? '' : `?${query}`)).toBe(row.wire);
  });
});

describe('what a service needs stays as it is', () => {
  it.each([
    '/',
    '/bucket/',
    '/b/dir%20with%20space/%C3%BCn%C3%AF%2Bx.txt',
    "/b/a+b=c,d!e'(f)*$&@:~g",
    '/b/a%3Fb%23c',
    '/b/%5Bx%5D',
    '/b/50%EF%BC%85off%EF%BC%9B%20.../.x%20',
  ])('%s', (path) => {
    expect(canonicalPathOf(path)).toEqual({ ok: true, value: path });
  });
});

describe('where %2F is a slash to the service', () => {
  it.each([
    ['/a%2Fb%2fc', '/a/b/c'],
    ['/a/b', '/a/b'],
    ['/a%2F', '/a/'],
    ['/%2fa', 'empty_segment'],
    ['/a%2F%2Fb', 'empty_segment'],
    ['/a%2F..%2Fb', 'dot_segment'],
    ['/a/..%2Fb', 'dot_segment'],
    ['/a%2F%2E', 'dot_segment'],
    ['/a%5Cb', 'encoded_separator'],
    ['/a%252Fb', 'double_encoding'],
    ['/a%25%32Fb', 'double_encoding'],
    ['/a%%2Fb', 'bad_escape'],
  ])('%s is judged as one: %s', (raw, becomes) => {
    const canonical = canonicalPathOf(raw, true);
    expect(canonical.ok ? canonical.value : canonical.error).toBe(becomes);
  });
});

describe('where %25 is a percent sign in a name, as in the keys of Hive and Delta tables', () => {
  it.each([
    ['/b/day=2026-01-02%2000%253A00%253a00/x', '/b/day=2026-01-02%2000%253A00%253a00/x'],
    ['/b/%25C3%25BC', '/b/%25C3%25BC'],
    ['/b/100%25', '/b/100%25'],
    ['/b/50%25%20off%25', '/b/50%25%20off%25'],
    ['/b/%25zz', '/b/%25zz'],
    ['/b/a%2541', '/b/a%2541'],
    ['/b/%F0%9F%98%80%253A', '/b/%F0%9F%98%80%253A'],
    // What a reader that decodes twice would take for another path.
    ['/b/a%252Fb', 'double_encoding'],
    ['/b/a%25%32Fb', 'double_encoding'],
    ['/b/a%255Cb', 'double_encoding'],
    ['/b/%252e%252E', 'double_encoding'],
    ['/b/%252e.', 'double_encoding'],
    ['/b/..%2520', 'double_encoding'],
    ['/b/a%2500', 'double_encoding'],
    ['/b/a%250a', 'double_encoding'],
    ['/b/a%253Bx', 'double_encoding'],
    ['/b/a%25252Fb', 'double_encoding'],
    ['/b/a%25EF%25BC%258Fb', 'double_encoding'],
    ['/b/a%25FF', 'double_encoding'],
    ['/b/a%25EF%BC%852Fb', 'not_utf8'],
    ['/b/%EF%BC%852e%EF%BC%852e', 'double_encoding'],
    ['/b/%25%EF%BC%92%EF%BC%A6', 'double_encoding'],
    // And nothing else is another.
    ['/b/a%2Fb', 'encoded_separator'],
    ['/b/a%', 'bad_escape'],
    ['/b/..', 'dot_segment'],
  ])('%s is judged as one: %s', (raw, becomes) => {
    const canonical = canonicalPathOf(raw, false, true);
    expect(canonical.ok ? canonical.value : canonical.error).toBe(becomes);
  });
});

it('a policy says whether %25 is a percent sign, and its rules see the name', () => {
  const files = 'capabilities: { read: { allow: [{ match: "GET /b/{key+}", when: \'params.key == "a%3Ab"\' }] } }';
  const path = '/b/a%253Ab';
  expect(verdictOf(policyOf(`escaped_percent: true\n${files}`), { path })).toBe('allow');
  expect(verdictOf(policyOf(files), { path })).toBe('path_refused');
  expect(verdictOf(policyOf(`escaped_percent: true\n${files}`), { path: '/b/a%252Fb' })).toBe('path_refused');
});

describe('each refusal says why', () => {
  it.each([
    ['', 'empty'],
    ['v1', 'illegal_character'],
    ['/a//b', 'empty_segment'],
    ['/%2e.', 'dot_segment'],
    ['/a%2Fb', 'encoded_separator'],
    ['/a%5cb', 'encoded_separator'],
    ['/a%25', 'double_encoding'],
    ['/a%3Bb', 'path_parameter'],
    ['/a;b', 'path_parameter'],
    ['/a\\b', 'backslash'],
    ['/a%4', 'bad_escape'],
    ['/a%1f', 'control_character'],
    ['/a\u0000', 'control_character'],
    ['/a\n', 'control_character'],
    ['/a\u007f', 'control_character'],
    ['/a%C2%85', 'control_character'],
    ['/a%E2%80%A8b', 'control_character'],
    ['/a%E2%80%A9b', 'control_character'],
    ['/%EF%BC%8E%EF%BC%8E', 'dot_segment'],
    ['/a%EF%BC%8Fb', 'encoded_separator'],
    ['/a%EF%BC%BCb', 'encoded_separator'],
    ['/..%20', 'dot_segment'],
    ['/%C2%A0..', 'dot_segment'],
    ['/.%C2%AD.', 'dot_segment'],
    ['/..%E2%80%8B', 'dot_segment'],
    ['/..%EF%BC%9Bx', 'dot_segment'],
    ['/%EF%BC%852e%EF%BC%85%EF%BC%92%EF%BD%85', 'double_encoding'],
    ['/ü', 'non_ascii'],
    ['/a b', 'illegal_character'],
    ['/a"b', 'illegal_character'],
    [`/${'a'.repeat(4000)}`, 'segment_too_long'],
    ['/a'.repeat(200), 'too_many_segments'],
    [`/${'a/'.repeat(5000)}`, 'too_long'],
  ])('%s is %s', (path, why) => {
    expect(canonicalPathOf(path)).toEqual({ ok: false, error: why });
  });
});

it('a path, a segment and their number are as large as the bounds, and no larger', () => {
  const [segment, last] = ['a'.repeat(3072), 'a'.repeat(8192 - 2 * 3073 - 1)];
  for (const path of [`/${segment}/${segment}/${last}`, `/a`.repeat(128), `${'/a'.repeat(128)}/`, `/${segment}`])
    expect(canonicalPathOf(path)).toEqual({ ok: true, value: path });
  expect(canonicalPathOf(`/${segment}/${segment}/${last}a`)).toEqual({ ok: false, error: 'too_long' });
  expect(canonicalPathOf(`/${segment}a`)).toEqual({ ok: false, error: 'segment_too_long' });
  expect(canonicalPathOf(`${'/a'.repeat(129)}/`)).toEqual({ ok: false, error: 'too_many_segments' });
});

describe('laws', () => {
  const piece = fc.constantFrom(
    'a',
    'Z',
    '/',
    '.',
    '..',
    '%',
    '%2e',
    '%2F',
    '%c3%a9',
    '%41',
    '%7e',
    ';',
    '\\',
    '%25',
    '+',
    '@',
    '%00',
    'é',
    ' ',
    '%20',
    '%E2%80%A5',
    '%EF%BC%8E',
  );
  const path = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 20 }).map((parts) => `/${parts.join('')}`),
  );

  it('a canonical path is its own canonical form', () => {
    fc.assert(
      fc.property(path, (raw) => {
        const once = canonicalPathOf(raw);
        if (once.ok) expect(canonicalPathOf(once.value)).toEqual(once);
      }),
      { numRuns: 2000 },
    );
  });

  it('so it is where %25 is a percent sign; what is no path there is none elsewhere, and what is one elsewhere is the same there', () => {
    fc.assert(
      fc.property(path, (raw) => {
        const wide = canonicalPathOf(raw, false, true);
        if (wide.ok) expect(canonicalPathOf(wide.value, false, true)).toEqual(wide);
        const narrow = canonicalPathOf(raw);
        if (narrow.ok) expect(wide).toEqual(narrow);
      }),
      { numRuns: 2000 },
    );
  });

  it('where %25 is a percent sign, no segment decoded twice is a dot segment or holds a separator or a control character', () => {
    fc.assert(
      fc.property(path, (raw) => {
        const canonical = canonicalPathOf(raw, false, true);
        if (!canonical.ok) return;
        for (const segment of canonical.value.slice(1).split('/')) {
          const once = decodedSegmentOf(segment) as string;
          const twice = once.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
            String.fromCharCode(Number.parseInt(hex, 16)),
          );
          expect(['.', '..']).not.toContain(twice);
          expect(twice).not.toMatch(/[/\\;\u0000-\u001f\u007f]/);
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('no segment of it, decoded once or twice, is a dot segment or holds a separator or a control character', () => {
    fc.assert(
      fc.property(path, (raw) => {
        const canonical = canonicalPathOf(raw);
        if (!canonical.ok) return;
        for (const segment of canonical.value.slice(1).split('/')) {
          const text = decodedSegmentOf(segment) as string;
          expect(['.', '..']).not.toContain(text);
          expect(text).not.toMatch(/[/\\%;\u0000-\u001f\u007f]/);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('a URL parser and a file system find nothing in it to resolve', () => {
    fc.assert(
      fc.property(path, (raw) => {
        const canonical = canonicalPathOf(raw);
        if (!canonical.ok) return;
        expect(new URL(`https://api.example.com${canonical.value}`).pathname).toBe(canonical.value);
        const text = decodeURIComponent(canonical.value);
        expect(posix.normalize(text)).toBe(text);
        for (const segment of text.normalize('NFKC').split('/')) expect(['.', '..']).not.toContain(segment.trim());
      }),
      { seed: 7, numRuns: 2000 },
    );
  });

  it('it begins with a slash and is printable ASCII', () => {
    fc.assert(
      fc.property(path, (raw) => {
        const canonical = canonicalPathOf(raw);
        if (canonical.ok) expect(canonical.value).toMatch(/^\/[\x21-\x7e]*$/);
      }),
    );
  });
});
