import { describe, expect, it } from 'vitest';
import { codeOf, cookieOf, isForeign, type RequestOrigin, transportOf } from '../../src/console/cookie.ts';

const EDGE = 'https://edge.example/v1/stops';
const LOCAL = 'http://127.0.0.1:8787/v1/stops';
const CODE = 'c'.repeat(43);

describe('a request that a browser signs by itself (threat 35)', () => {
  const own: RequestOrigin = {
    method: 'POST',
    url: EDGE,
    origin: 'https://edge.example',
    secFetchSite: 'same-origin',
    marked: true,
  };

  it('is of our own page', () => {
    expect(isForeign(own, 'cookie')).toBe(false);
    expect(isForeign({ ...own, secFetchSite: undefined }, 'cookie')).toBe(false);
    expect(isForeign({ ...own, secFetchSite: 'none' }, 'cookie')).toBe(false);
  });

  it.each<[string, Partial<RequestOrigin>]>([
    ['from another site', { secFetchSite: 'cross-site' }],
    ['from a neighbour of the same site', { secFetchSite: 'same-site' }],
    ['from another origin', { origin: 'https://evil.example' }],
    ['from another port', { origin: 'https://edge.example:8443' }],
    ['from the same host without TLS', { origin: 'http://edge.example' }],
    ['from a page without an origin', { origin: 'null' }],
    ['that does not say from where', { origin: undefined }],
    ['without the field that only a script of ours can set', { marked: false }],
    ['that deletes', { method: 'DELETE', marked: false }],
  ])('and is refused when it comes %s', (_, change) => expect(isForeign({ ...own, ...change }, 'cookie')).toBe(true));

  it.each(['GET', 'HEAD'])('a %s needs no mark and no origin, but may not come from another page', (method) => {
    const read = { ...own, method, origin: undefined, secFetchSite: undefined, marked: false };
    expect(isForeign(read, 'cookie')).toBe(false);
    expect(isForeign({ ...read, secFetchSite: 'cross-site' }, 'cookie')).toBe(true);
    expect(isForeign({ ...read, origin: 'https://evil.example' }, 'cookie')).toBe(true);
  });

  it('by an assertion of Access it may come from no page, and not from another one', () => {
    const byProgram = { ...own, origin: undefined, secFetchSite: undefined, marked: false };
    expect(isForeign(byProgram, 'access')).toBe(false);
    expect(isForeign({ ...byProgram, origin: 'https://evil.example' }, 'access')).toBe(true);
    expect(isForeign({ ...byProgram, secFetchSite: 'same-site' }, 'access')).toBe(true);
  });
});

describe("the session's code", () => {
  it('is read under its own name: bound to the host under TLS', () => {
    expect(codeOf(`a=b; __Host-keywarden=${CODE}; c=d`, EDGE)).toBe(CODE);
    expect(codeOf(`keywarden=${CODE}`, LOCAL)).toBe(CODE);
    expect(codeOf(`keywarden=${CODE}`, EDGE), 'a neighbour could have set it').toBeNull();
  });

  it.each([
    ['none', undefined],
    ['an empty one', '__Host-keywarden='],
    ['two of them: one was planted', `__Host-keywarden=${CODE}; __Host-keywarden=${'d'.repeat(43)}`],
    ['twice the same', `__Host-keywarden=${CODE}; __Host-keywarden=${CODE}`],
    ['one too short', `__Host-keywarden=${CODE.slice(1)}`],
    ['one too long', `__Host-keywarden=${CODE}c`],
    ['other characters', `__Host-keywarden=${CODE.slice(1)}%`],
    ['a name that only ends so', `x__Host-keywarden=${CODE}`],
  ])('is none of %s', (_, cookies) => expect(codeOf(cookies, EDGE)).toBeNull());
});

describe('the cookie', () => {
  it('is for this host alone, for no script and for no other site', () => {
    expect(cookieOf(CODE, EDGE)).toBe(
      `__Host-keywarden=${CODE}; Path=/; Max-Age=14400; HttpOnly; SameSite=Strict; Secure`,
    );
    expect(cookieOf(CODE, LOCAL)).toBe(`keywarden=${CODE}; Path=/v1; Max-Age=14400; HttpOnly; SameSite=Strict`);
    expect(cookieOf(null, EDGE)).toBe('__Host-keywarden=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure');
  });

  it.each([
    ['https://edge.example/', 'tls'],
    ['https://127.0.0.1/', 'tls'],
    ['http://localhost:8787/', 'loopback'],
    ['http://keywarden.localhost/', 'loopback'],
    ['http://127.1.2.3/', 'loopback'],
    ['http://[::1]:8787/', 'loopback'],
    ['http://edge.example/', 'open'],
    ['http://localhost.evil.example/', 'open'],
    ['http://evillocalhost/', 'open'],
    ['http://127.0.0.1.evil.example/', 'open'],
    ['http://[::2]/', 'open'],
  ])('%s is %s', (url, transport) => expect(transportOf(url)).toBe(transport));
});
