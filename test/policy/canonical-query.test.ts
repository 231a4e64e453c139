import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalQueryOf, MAX_QUERY_LENGTH } from '../../src/policy/canonical-query.ts';
import { explainAccess } from '../../src/policy/explain.ts';
import type { CredentialSpec } from '../../src/policy/ruled.ts';
import { bundleOf } from './support.ts';

const bearer: CredentialSpec = { scheme: 'bearer', secret: 'PAY_KEY' };
const query: CredentialSpec = { scheme: 'query', param: 'sig', secret: 'PAY_KEY' };

const anyQuery = fc.string({
  unit: fc.oneof(fc.constantFrom(...'ab=&+%;#?/\\|^`{}[]"\'<>~! \t\0é', '%20', '%2', '%zz', '%00', '..'), fc.string()),
  maxLength: 20,
});

describe('a query', () => {
  it('is its own form, and what the URL parser sends, with the names and values that were received', () => {
    fc.assert(
      fc.property(anyQuery, (raw) => {
        const canonical = canonicalQueryOf(raw, bearer);
        if (!canonical.ok) return;
        expect(canonicalQueryOf(canonical.value, bearer)).toEqual(canonical);
        expect(new URL(`https://api.example.com/x?${canonical.value}`).href).toBe(
          `https://api.example.com/x?${canonical.value}`,
        );
        expect([...new URLSearchParams(`?${canonical.value}`)]).toEqual([...new URLSearchParams(`?${raw}`)]);
      }),
      { seed: 7, numRuns: 2000 },
    );
  });

  it.each([
    ['', ''],
    ['a=1&b=%20&c=+&d', 'a=1&b=%20&c=+&d'],
    ['a=%zz&&;', 'a=%zz&&;'],
    [`a="'<>`, 'a=%22%27%3C%3E'],
  ])('is judged and sent as it came, but for what the URL parser would escape: %j', (raw, canonical) => {
    expect(canonicalQueryOf(raw, bearer)).toEqual({ ok: true, value: canonical });
    const sent = new URL(`https://upstream.example/?${canonical}`);
    expect(sent.search.slice(1)).toBe(canonical);
  });

  it.each(['a b', 'a\t', 'a\n', 'a\u0000', 'a\u007f', 'é', 'a=1#b', '#'])(
    'that another reader would read otherwise is refused: %j',
    (raw) => expect(canonicalQueryOf(raw, bearer)).toMatchObject({ ok: false }),
  );

  it('is as long as the bound, and no longer', () => {
    expect(canonicalQueryOf('a'.repeat(MAX_QUERY_LENGTH), bearer).ok).toBe(true);
    expect(canonicalQueryOf('a'.repeat(MAX_QUERY_LENGTH + 1), bearer).ok).toBe(false);
  });
});

describe('threat 14: no place for a credential is left in the query that is judged, logged and sent', () => {
  it.each([
    'api_key=x',
    'API_KEY=x',
    'api-key=x',
    'apikey',
    'apiKey=x',
    'x-api-key=x',
    '%61pi%5Fkey=x',
    'api_key[]=x',
    'access_token=x',
    'auth_token=x',
    'oauth_token=x',
    'authorization=x',
    'private_token=x',
    'job_token=x',
    'deploy_token=x',
    'application_key=x',
    'api_token=x',
    'api-secret=x',
    'bearer_token=x',
    'Subscription-Key=x',
  ])('%s', (theirs) => {
    expect(canonicalQueryOf(`a=1&${theirs}&b=%2f`, bearer)).toEqual({ ok: true, value: 'a=1&b=%2f' });
    expect(canonicalQueryOf(theirs, bearer)).toEqual({ ok: true, value: '' });
  });

  it("nor the place of the policy's own scheme, which is nothing special at another service", () => {
    expect(canonicalQueryOf('a=1&Sig=x', query)).toEqual({ ok: true, value: 'a=1' });
    expect(canonicalQueryOf('a=1&Sig=x', bearer)).toEqual({ ok: true, value: 'a=1&Sig=x' });
  });

  it("nor, where the place is a header, a parameter of its name, by which the agent's own key could come along", () => {
    const header = (name: string): CredentialSpec => ({
      scheme: 'header',
      header: name,
      prefix: '',
      secret: 'PAY_KEY',
    });
    for (const theirs of ['x-algolia-api-key=x', 'X_Algolia_API_Key=x', '%58-algolia-api-key'])
      expect(canonicalQueryOf(`a=1&${theirs}`, header('X-Algolia-API-Key')), theirs).toEqual({
        ok: true,
        value: 'a=1',
      });
    expect(canonicalQueryOf('x-algolia-api-key=x', bearer)).toEqual({ ok: true, value: 'x-algolia-api-key=x' });
    for (const theirs of ['key=AIzaOther', 'Key=x', '%6bey=x', 'key[]=x'])
      expect(canonicalQueryOf(`alt=sse&${theirs}`, header('x-goog-api-key')), theirs).toEqual({
        ok: true,
        value: 'alt=sse',
      });
    expect(canonicalQueryOf('key=x', header('x-api-key'))).toEqual({ ok: true, value: 'key=x' });
  });

  it.each(['key=x', 'token=x', 'page_token=x', 'api_keys=x', 'x=api_key', 'my_api_key=1', 'a=1&&b=2', 'a=1;b=2'])(
    '%s is another thing, and stays',
    (text) => {
      expect(canonicalQueryOf(text, bearer)).toEqual({ ok: true, value: text });
    },
  );
});

describe('threat 14: a query that names another method is refused', () => {
  it.each(['_method=DELETE', 'a=1&_method=PUT', 'a=1;%5fMethod=PUT', '_method', '_method[a]=PUT', '.method=PUT'])(
    '%s',
    (text) => {
      expect(canonicalQueryOf(text, bearer)).toMatchObject({ ok: false });
    },
  );
  it.each(['method=card', 'payment_method=x', 'x=_method', '_methods=1'])('%s names none', (text) => {
    expect(canonicalQueryOf(text, bearer)).toEqual({ ok: true, value: text });
  });
});

it("a rule that lists the parameters it takes does not see the one by which the service's SDK sends its key", () => {
  const bundle = bundleOf(`
service: weather
origin: https://api.example.com
credential: { scheme: query, param: key, secret: WEATHER_KEY }
capabilities:
  forecast:
    allow: GET /forecast
    when: 'query.all(k, k in ["days"])'
`);
  const verdictOf = (target: string) =>
    explainAccess(bundle, {
      service: 'weather',
      method: 'GET',
      target,
      can: ['weather:forecast'],
      agent: 'a',
      session: null,
      headers: new Map(),
      body: null,
      now: 0,
    }).verdict;
  expect(verdictOf('/forecast?days=3&key=T')).toBe('allow');
  expect(verdictOf('/forecast?days=3&keys=T')).toBe('deny');
});
