import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CanonicalPath } from '../../src/access.ts';
import type { OperationRule } from '../../src/policy/ruled.ts';
import { operationsOf } from '../../src/policy/template.ts';
import { PathTrie } from '../../src/policy/trie.ts';
import { policyOf, verdictOf } from './support.ts';

const ruleOf = (text: string): OperationRule => {
  const rules = operationsOf(`GET ${text}`, null);
  if (!rules.ok) throw new Error(rules.error.message);
  return rules.value[0] as OperationRule;
};
const trieOf = (...templates: string[]): PathTrie<null> => {
  const trie = new PathTrie<null>();
  for (const template of templates) trie.add(ruleOf(template), null);
  return trie;
};
const matches = (trie: PathTrie<null>, path: string): string[] =>
  trie
    .match(path as CanonicalPath)
    .map(({ rule, params }) => `${rule.text.slice(4)} ${JSON.stringify(Object.fromEntries(params))}`)
    .sort();

describe('templates', () => {
  it('all that fit are found: a literal hides no name', () => {
    const trie = trieOf('/v1/a', '/v1/{id}', '/{rest+}', '/v1/{id}/b', '/v1/{rest+}');
    expect(matches(trie, '/v1/a')).toEqual([
      '/v1/a {}',
      '/v1/{id} {"id":"a"}',
      '/v1/{rest+} {"rest":"a"}',
      '/{rest+} {"rest":"v1/a"}',
    ]);
  });

  it('text around a name counts, and the name is never empty', () => {
    const trie = trieOf('/{owner}/{repo}.git/info', '/x/oauth.{m}');
    expect(matches(trie, '/me/site.git/info')).toEqual(['/{owner}/{repo}.git/info {"owner":"me","repo":"site"}']);
    expect(matches(trie, '/me/.git/info')).toEqual([]);
    expect(matches(trie, '/x/oauth.')).toEqual([]);
    expect(matches(trie, '/x/oauth.v2.access')).toEqual(['/x/oauth.{m} {"m":"v2.access"}']);
  });

  it('another text around a name is another path', () => {
    const trie = trieOf('/{owner}/{repo}.git/info', '/x/oauth.{m}', '/y/v{n}.json');
    for (const path of [
      '/me/site.gitx/info',
      '/me/site.svn/info',
      '/x/xauth.v2',
      '/x/oauthv2',
      '/y/1.json',
      '/y/v1.jsonx',
    ])
      expect(matches(trie, path), path).toEqual([]);
  });

  it('each name has its own value, also before a rest', () => {
    expect(matches(trieOf('/{owner}/{repo}/blob/{path+}'), '/me/site/blob/a/b')).toEqual([
      '/{owner}/{repo}/blob/{path+} {"owner":"me","repo":"site","path":"a/b"}',
    ]);
  });

  it('a rest stands for at least one segment', () => {
    expect(matches(trieOf('/b/{key+}'), '/b')).toEqual([]);
    expect(matches(trieOf('/b/{key+}'), '/b/c/d%20e')).toEqual(['/b/{key+} {"key":"c/d e"}']);
  });

  it('the root is a path like any other', () => {
    expect(matches(trieOf('/', '/{x}'), '/')).toEqual(['/ {}']);
  });

  it('values and literals are compared percent-decoded', () => {
    expect(matches(trieOf('/a@b', '/{x}'), '/a%40b')).toEqual(['/a@b {}', '/{x} {"x":"a@b"}']);
  });

  it('the same templates as a plain reading of each, whatever the templates and the path', () => {
    const segment = fc.constantFrom('a', 'b', '{p}', 'a{p}', '{p}b', 'ab');
    const template = fc
      .tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([parts, rest]) => `/${parts.map((part, i) => part.replace('p', `p${i}`)).join('/')}${rest ? '/{r+}' : ''}`);
    const path = fc
      .array(fc.constantFrom('a', 'b', 'ab', 'aab', 'c'), { minLength: 1, maxLength: 6 })
      .map((parts) => `/${parts.join('/')}`);
    fc.assert(
      fc.property(fc.uniqueArray(template, { maxLength: 12 }), path, (templates, one) => {
        const plain = templates
          .filter((text) => new RegExp(`^${text.replace(/\{r\+\}/, '.+').replace(/\{p\d\}/g, '[^/]+')}$`).test(one))
          .sort();
        expect(
          trieOf(...templates)
            .match(one as CanonicalPath)
            .map(({ rule }) => rule.text.slice(4))
            .sort(),
        ).toEqual(plain);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a trailing slash is another resource unless the policy says so', () => {
  const strict = policyOf('capabilities: { r: { allow: ["GET /a", "GET /s/", "GET /k/{key+}", "GET /t/{key+}/"] } }');
  const lenient = policyOf('capabilities: { r: { allow: ["GET /a", "GET /k/{key+}"] } }', 'trailing_slash: true\n');
  it.each([
    [strict, '/a', 'allow'],
    [strict, '/a/', 'operation_unknown'],
    [strict, '/s/', 'allow'],
    [strict, '/s', 'operation_unknown'],
    [strict, '/k/x/', 'operation_unknown'],
    [strict, '/t/x/', 'allow'],
    [strict, '/t/x', 'operation_unknown'],
    [lenient, '/a/', 'allow'],
    [lenient, '/k/x/', 'allow'],
    [lenient, '/k/', 'operation_unknown'],
  ])('%#: %s', (policy, path, verdict) => {
    expect(verdictOf(policy, { path })).toBe(verdict);
  });
});

describe('what is no template is refused with a mend', () => {
  it.each([
    ['/v1/balance', 'no operation'],
    ['GET  /x', 'no operation'],
    ['GET x', 'does not begin'],
    ['get /x', 'upper case'],
    ['TRACE /x', 'never forwarded'],
    ['CONNECT /x', 'never forwarded'],
    ['FETCH /x', 'no method'],
    ['GET|GET /x', 'twice'],
    ['GET|* /x', 'mixes'],
    ['GET /x?y=1', 'has a query'],
    ['GET /a//b', 'empty segment'],
    ['GET /a/*', 'no wildcard'],
    ['GET /a/**', 'no wildcard'],
    ['GET /a/:id', 'no wildcard'],
    ['GET /{a}/{a}', 'stands twice'],
    ['GET /{a+}/b', 'not the last'],
    ['GET /x{a+}', 'text around'],
    ['GET /{a}{b}', 'no template'],
    ['GET /{a-b}', 'no template'],
    ['GET /../a', 'no canonical path'],
    ['GET /a%2Fb', 'no canonical path'],
    ['GET /ü', 'no canonical path'],
    ['GET /a;b', 'no canonical path'],
  ])('%s', (text, message) => {
    expect(operationsOf(text, null)).toMatchObject({
      ok: false,
      error: { message: expect.stringContaining(message), fix: expect.stringMatching(/./) },
    });
  });
});
