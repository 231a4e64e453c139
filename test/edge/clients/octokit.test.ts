import { Octokit } from '@octokit/rest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { promisesKept, refused, startWorld, WORDS, type World } from '../../support/client-world.ts';
import { startEmulated } from '../../support/emulate.ts';
import { startGate } from '../../support/gate.ts';
import { freePort } from '../../support/process.ts';
import { bodyOf, json } from '../../support/upstream.ts';

const KEY = 'ghp_Kanary0000000000000000000000000000';
const REPO = { owner: 'octocat', repo: 'hello-world' };

/** What octokit throws; its class is not exported by @octokit/rest. */
type RequestError = Error & {
  readonly status: number;
  readonly response?: { readonly headers: Readonly<Record<string, string>>; readonly data: unknown };
};

describe('the official @octokit/rest client through the edge', () => {
  let world: World;
  let token: string;

  const quiet = { debug() {}, info() {}, warn() {}, error() {} };
  const client = (auth: string, service = world.service): Octokit =>
    new Octokit({ auth, baseUrl: world.edge.proxy(service), log: quiet });

  beforeAll(async () => {
    const port = await freePort();
    const gate = await startGate({
      to: `http://127.0.0.1:${port}`,
      credential: { header: 'authorization', value: `Bearer ${KEY}` },
      unauthorized: json({ message: 'Bad credentials', documentation_url: 'https://docs.github.com/rest' }, 401),
      routes: {
        ...Object.fromEntries(
          [
            'contents/src/a%20b/index.ts',
            'git/ref/heads/main',
            'branches/fix/it',
            'commits/heads/fix/it',
            'compare/main...fix/it',
          ].map((path) => [`GET /repos/octocat/hello-world/${path}`, json({ path })]),
        ),
        // emulate's links have the path that was asked; GitHub's have a number in the repository's place.
        'GET /repos/octocat/hello-world/labels': (req, res, seen) => {
          const page = Number(new URL(seen.target, gate.origin).searchParams.get('page') ?? 1);
          const link = (to: number, rel: string): string =>
            `<${gate.origin}/repositories/8514/labels?per_page=1&page=${to}>; rel="${rel}"`;
          return json([{ name: ['one', 'two', 'three'][page - 1] }], 200, {
            ...(page < 3 ? { link: `${link(page + 1, 'next')}, ${link(3, 'last')}` } : {}),
          })(req, res, seen);
        },
        // emulate has no GraphQL.
        'POST /graphql': async (req, res, seen) => {
          const { query } = JSON.parse((await bodyOf(req)).toString('utf8')) as { query: string };
          return json(
            query.includes('login')
              ? { data: { viewer: { login: 'octocat' } } }
              : { errors: [{ type: 'undefinedField', message: "Field 'x' doesn't exist on type 'Query'" }] },
          )(req, res, seen);
        },
      },
    });
    // The addresses in its Link fields are the gate's, as GitHub's are GitHub's.
    const emulated = await startEmulated('github', {
      port,
      baseUrl: gate.origin,
      seed: {
        tokens: { [KEY]: { login: 'octocat', scopes: ['repo', 'user'] } },
        github: {
          users: [{ login: 'octocat', name: 'The Octocat' }],
          repos: [{ owner: 'octocat', name: 'hello-world', auto_init: true }],
        },
      },
    });
    world = await startWorld({
      service: 'github',
      gate,
      vars: { GITHUB_TOKEN: KEY },
      onceAnHour: ['read_user'],
      behind: [emulated],
    });
    token = await world.edge.mint(
      'triage',
      ['read_user', 'read_repo', 'list_issues', 'create_issue', 'comment', 'close_issue', 'graphql_read'].map(
        (c) => `github:${c}`,
      ),
    );
  });
  afterAll(() => world?.stop());

  test('reads a repository with a capability token in the place of the key', async () => {
    expect((await client(token).repos.get(REPO)).data.full_name).toBe('octocat/hello-world');
  });

  test('reads a file', async () => {
    const { data } = await client(token).repos.getContent({ ...REPO, path: 'README.md' });
    expect(data).toMatchObject({ type: 'file', name: 'README.md' });
  });

  test.each([
    ['a file in a folder', 'contents/src/a%20b/index.ts'],
    ['a reference', 'git/ref/heads/main'],
    ['a branch', 'branches/fix/it'],
    ['a commit', 'commits/heads/fix/it'],
    ['a comparison with a branch that has a slash in its name', 'compare/main...fix/it'],
  ])('reads %s, whose slashes the client escapes', async (_, path) => {
    const octokit = client(token);
    if (path.startsWith('contents/')) await octokit.repos.getContent({ ...REPO, path: 'src/a b/index.ts' });
    else if (path.startsWith('branches/')) await octokit.repos.getBranch({ ...REPO, branch: 'fix/it' });
    else if (path.startsWith('commits/')) await octokit.repos.getCommit({ ...REPO, ref: 'heads/fix/it' });
    else if (path.startsWith('git/')) await octokit.git.getRef({ ...REPO, ref: 'heads/main' });
    else await octokit.repos.compareCommitsWithBasehead({ ...REPO, basehead: 'main...fix/it' });
    expect(world.gate.seen.at(-1)?.target).toBe(`/repos/octocat/hello-world/${path}`);
  });

  test.each([
    'contents/src%2F..%2F..%2F..%2Fother%2Frepo',
    'contents/%2F..%2F',
    'contents/src%252Findex.ts',
    'contents/src%5Cindex.ts',
    'contents/src%2F%2Findex.ts',
    'contents%2F..%2Fhooks',
  ])('what an escaped slash could hide is refused as without it: %s', async (path) => {
    const before = world.gate.seen.length;
    const error = await refused<RequestError>(() =>
      client(token).request(`GET /repos/octocat/hello-world/${path}` as 'GET /user'),
    );
    expect(error.status).toBe(400);
    expect(error.message).toContain('The path has no canonical form');
    expect(world.gate.seen.length).toBe(before);
  });

  test('an escaped slash leads to no other rule than a plain one', async () => {
    const error = await refused<RequestError>(() =>
      client(token).request('GET /repos/octocat/hello-world%2Fhooks' as 'GET /user'),
    );
    expect(error.status).toBe(403);
    expect((await world.edge.audit({ event: 'call.denied' }))[0]?.reason).toBe('rule_denied');
  });

  test('opens an issue, comments on it, and closes it', async () => {
    const octokit = client(token);
    const { data: issue } = await octokit.issues.create({
      ...REPO,
      title: 'It “breaks” – sometimes',
      body: 'Steps:\n1. …',
    });
    expect(issue.title).toBe('It “breaks” – sometimes');
    await octokit.issues.createComment({ ...REPO, issue_number: issue.number, body: 'Seen.' });
    await octokit.issues.update({ ...REPO, issue_number: issue.number, state: 'closed' });
    expect((await octokit.issues.get({ ...REPO, issue_number: issue.number })).data.state).toBe('closed');
  });

  test('pages through a list: the links lead through the edge again, not past it', async () => {
    const octokit = client(token);
    for (const title of ['two', 'three']) await octokit.issues.create({ ...REPO, title });
    const before = world.gate.seen.length;
    const titles = (await octokit.paginate(octokit.issues.listForRepo, { ...REPO, state: 'all', per_page: 1 })).map(
      (i) => i.title,
    );
    expect(titles).toEqual(expect.arrayContaining(['It “breaks” – sometimes', 'two', 'three']));
    expect(world.gate.seen.length - before).toBeGreaterThanOrEqual(3);
  });

  test('pages through a list whose links name it by a number, as GitHub does, under the path that was asked', async () => {
    const names = (await client(token).paginate(client(token).issues.listLabelsForRepo, { ...REPO, per_page: 1 })).map(
      (label) => label.name,
    );
    expect(names).toEqual(['one', 'two', 'three']);
    expect(world.gate.seen.slice(-3).map((s) => s.target)).toEqual(
      ['per_page=1', 'per_page=1&page=2', 'per_page=1&page=3'].map((q) => `/repos/octocat/hello-world/labels?${q}`),
    );
  });

  test('asks by GraphQL', async () => {
    expect(await client(token).graphql('query { viewer { login } }')).toEqual({ viewer: { login: 'octocat' } });
  });

  test('an error of the service itself stays what it is, by REST and by GraphQL', async () => {
    expect(
      await refused<RequestError>(() => client(token).repos.get({ owner: 'octocat', repo: 'no-such' })),
    ).toMatchObject({ name: 'HttpError', status: 404 });
    expect(await refused(() => client(token).graphql('query { x }'))).toMatchObject({ name: 'GraphqlResponseError' });
  });

  test('a call for which the token holds no capability is an HttpError that names the capability', async () => {
    const error = await refused<RequestError>(() => client(token).pulls.list(REPO));
    expect(error).toMatchObject({ name: 'HttpError', status: 403 });
    expect(error.message).toMatch(WORDS.missing);
    expect(error.message).toContain('github:list_pulls');
  });

  test('a GraphQL mutation is an error with the condition', async () => {
    const error = await refused<RequestError>(() =>
      client(token).graphql('mutation { deleteIssue(input: { issueId: "x" }) { clientMutationId } }'),
    );
    expect(error.message).toMatch(WORDS.condition);
  });

  test('what gives credentials is refused whatever the token holds', async () => {
    const error = await refused<RequestError>(() => client(token).users.listPublicSshKeysForAuthenticatedUser());
    expect(error).toMatchObject({ name: 'HttpError', status: 403 });
  });

  test('a denial surfaces at once and is asked for once', async () => {
    const before = (await world.edge.audit({ event: 'call.denied' })).length;
    await refused(() => client(token).pulls.list(REPO), 5_000);
    expect((await world.edge.audit({ event: 'call.denied' })).length).toBe(before + 1);
  });

  test('an expired token is an HttpError 401', async () => {
    const expired = await world.edge.expired('triage', ['github:read_user']);
    const error = await refused<RequestError>(() => client(expired).users.getAuthenticated());
    expect(error).toMatchObject({ name: 'HttpError', status: 401 });
    expect(error.message).toMatch(WORDS.expired);
  });

  test('a call over the limit is an HttpError 429', async () => {
    const octokit = client(await world.edge.mint('hasty', [`${world.tight}:read_user`]), world.tight);
    expect((await octokit.users.getAuthenticated()).data.login).toBe('octocat');
    const error = await refused<RequestError>(() => octokit.users.getAuthenticated());
    expect(error).toMatchObject({ name: 'HttpError', status: 429 });
    expect(error.message).toMatch(WORDS.limited);
    expect(Number(error.response?.headers['retry-after'])).toBeGreaterThan(0);
  });

  promisesKept(
    () => world,
    () => [KEY],
  );
});
