import { describe, expect, it } from 'vitest';
import { linkOf, locationOf, type PublicPlace, referenceOf } from '../../src/upstream/redirect.ts';

const place: PublicPlace = {
  service: 'vendor',
  origin: 'https://api.vendor.test',
  upstreamUrl: 'https://api.vendor.test/v1/a/b?x=1',
  publicBase: 'http://127.0.0.1:8787',
  redirects: ['https://files.vendor.test'],
};
const BASE = 'http://127.0.0.1:8787/proxy/vendor';

describe('a Location on the service itself leads back through the proxy', () => {
  for (const [location, rewritten] of [
    ['/v1/c', `${BASE}/v1/c`],
    ['c?y=2', `${BASE}/v1/a/c?y=2`],
    ['../c#top', `${BASE}/v1/c#top`],
    ['?page=2', `${BASE}/v1/a/b?page=2`],
    ['//api.vendor.test/v1/c', `${BASE}/v1/c`],
    ['https://api.vendor.test', `${BASE}/`],
    ['https://API.vendor.test:443/v1/c%2Fd', `${BASE}/v1/c%2Fd`],
    ['', `${BASE}/v1/a/b?x=1`],
    ['#top', `${BASE}/v1/a/b?x=1#top`],
    ['/v1/é?q=日#ü', `${BASE}/v1/%C3%A9?q=%E6%97%A5#%C3%BC`],
  ] as const) {
    it(`${location || '(empty)'}`, () => expect(locationOf(location, place)).toEqual({ ok: true, value: rewritten }));
  }
  it('one on a listed origin passes as it is', () => {
    expect(locationOf('https://files.vendor.test/blob?sig=1', place)).toEqual({
      ok: true,
      value: 'https://files.vendor.test/blob?sig=1',
    });
  });
});

it('one listed origin of several is enough, and where none is listed there is no other', () => {
  const several = { ...place, redirects: ['https://other.vendor.test', ...place.redirects] };
  expect(locationOf('https://files.vendor.test/x', several).ok).toBe(true);
  for (const redirects of [[], several.redirects])
    expect(locationOf('https://evil.test/x', { ...place, redirects }).ok, redirects.join()).toBe(false);
  expect(locationOf('https://files.vendor.test/x', { ...place, redirects: [] }).ok).toBe(false);
});

it.each([
  ['https://evil.test/x', 'is on another host'],
  ['https://api.vendor.test:8443/x', 'is on another port of the same host'],
  ['http://api.vendor.test/x', 'is on another scheme of the same host'],
  ['ftp://api.vendor.test/x', 'is no http URL'],
  ['/v1/a b', 'holds white space or a control'],
  ['https://user@api.vendor.test/', 'holds user information'],
  ['http:user:pass@api.vendor.test/', 'holds user information'],
  ['https://[x', 'is no URL reference'],
  [`/${'x'.repeat(8192)}`, 'is too long'],
])('a fault says what kind of place it was, and quotes nothing: %s', (location, what) => {
  const refused = locationOf(location, place);
  expect(refused.ok ? '' : refused.error.detail).toBe(`the Location ${what}`);
});

describe('threat 6: any other Location is refused', () => {
  for (const location of [
    'https://evil.test/',
    '//evil.test/v1',
    '\\\\evil.test',
    '/\\evil.test',
    'https:\\\\api.vendor.test\\v1',
    'http://api.vendor.test/v1',
    'https://api.vendor.test:8443/',
    'https://sub.api.vendor.test/',
    'https://vendor.test/',
    'https://api.vendor.test.evil.test/',
    'https://api.vendor.test@evil.test/',
    'https://user:pass@api.vendor.test/',
    '//@api.vendor.test/',
    'https://@api.vendor.test/',
    'javascript:alert(1)',
    'data:text/html,x',
    'ftp://api.vendor.test/',
    '/v1/a b',
    '/v1/\u0000',
    '/v1/\u0085',
    '/v1/\ufffd',
    'https://évil.test/',
    '//api.vendor.test。evil.test/',
    '//api.vendor.test／.evil.test/',
    'https://api.vendor.test＠evil.test/',
    'https://',
    'http://files.vendor.test/',
    'https://api.vendor.test./',
    `/${'a'.repeat(9000)}`,
  ]) {
    it(JSON.stringify(location.slice(0, 60)), () => {
      const refused = locationOf(location, place);
      expect(refused).toMatchObject({ ok: false, error: { code: 'upstream_redirect_refused' } });
      expect(JSON.stringify(refused)).not.toContain('evil');
    });
  }
});

describe('other references', () => {
  it('a Link keeps its parameters and foreign targets', () => {
    expect(
      linkOf(
        '<https://api.vendor.test/v1/c?page=2>; rel="next", </d>; title="a <b> c, \\"<e>", <https://other.test/x>; rel=help',
        place,
      ),
    ).toBe(`<${BASE}/v1/c?page=2>; rel="next", <${BASE}/d>; title="a <b> c, \\"<e>", <https://other.test/x>; rel=help`);
  });
  it('links to further pages keep the path that was asked where the policy says so, and no other link does', () => {
    const asked = { ...place, samePathPages: true };
    const by = (link: string): string => linkOf(link, asked);
    const page = `<${BASE}/v1/a/b?page=2>`;
    for (const rel of ['rel="next"', 'rel=last', 'rel="alternate first"', 'title="a, <b>"; rel="prev"', 'REL=Next'])
      expect(by(`<https://api.vendor.test/by-number/8?page=2>; ${rel}`)).toBe(`${page}; ${rel}`);
    expect(by('</8?page=2>; rel="next", </9>; rel="author", </8?page=7>; rel="last"')).toBe(
      `${page}; rel="next", <${BASE}/9>; rel="author", <${BASE}/v1/a/b?page=7>; rel="last"`,
    );
    for (const rel of ['rel="author"', 'title="rel=next"', 'rel=next-archive', ''])
      expect(by(`</c>; ${rel}`)).toBe(`<${BASE}/c>; ${rel}`);
    for (const elsewhere of ['https://other.test/8?page=2', 'https://u@api.vendor.test/8', 'http://api.vendor.test/8'])
      expect(by(`<${elsewhere}>; rel="next"`)).toBe(`<${elsewhere}>; rel="next"`);
  });
  it('a Content-Location elsewhere stays', () => {
    expect(referenceOf('https://other.test/x', place)).toBe('https://other.test/x');
    expect(referenceOf('/x', place)).toBe(`${BASE}/x`);
    expect(referenceOf('/é', place)).toBe(`${BASE}/%C3%A9`);
  });
});
