import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { promisesKept, startWorld, WORDS, type World } from '../../support/client-world.ts';
import { type GitUpstream, startGitUpstream } from '../../support/git-upstream.ts';
import { start } from '../../support/process.ts';

const SECRET = 'ghs_Kanary0000000000000000000000000000';
const GITHUB = 'https://github.com/octocat/hello-world.git';

describe('git through the edge', () => {
  let world: World;
  let upstream: GitUpstream;
  let home: string;
  let token: string;

  async function git(
    config: readonly string[],
    ...args: string[]
  ): Promise<{ readonly code: number | null; readonly output: string }> {
    const program = start('git', [...config, ...args], {
      cwd: home,
      env: {
        PATH: process.env.PATH,
        HOME: home,
        LC_ALL: 'C',
        GIT_TERMINAL_PROMPT: '0',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_AUTHOR_NAME: 'Agent',
        GIT_AUTHOR_EMAIL: 'agent@example.com',
        GIT_COMMITTER_NAME: 'Agent',
        GIT_COMMITTER_EMAIL: 'agent@example.com',
      },
    });
    const { code } = await program.ended;
    return { code, output: program.output() };
  }

  const instead = (service: string): string[] => [
    '-c',
    `url.${world.edge.proxy(service)}/.insteadOf=https://github.com/`,
  ];
  /** git asks without a token first, is challenged, and asks its helper. */
  const byHelper = (secret: string, service = world.service): string[] => [
    '-c',
    `credential.helper=!f() { echo username=x-access-token; echo password=${secret}; }; f`,
    ...instead(service),
  ];
  const byHeader = (secret: string, service = world.service): string[] => [
    '-c',
    `http.${world.edge.url}/.extraHeader=Authorization: Bearer ${secret}`,
    ...instead(service),
  ];

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'keywarden-git-client-'));
    upstream = await startGitUpstream(SECRET);
    world = await startWorld({ service: 'git', gate: upstream, vars: { GITHUB_TOKEN: SECRET }, onceAnHour: ['clone'] });
    token = await world.edge.mint('committer', ['git:clone', 'git:push']);
  });
  afterAll(async () => {
    rmSync(home, { recursive: true, force: true });
    await world?.stop();
  });

  describe.each([
    ['credential helper', byHelper],
    ['extraHeader', byHeader],
  ])('with the token from %s', (name, as) => {
    const place = name.replace(' ', '-');

    test('clones, commits, pushes, and a second clone has what was pushed', async () => {
      expect(await git(as(token), 'clone', GITHUB, place)).toMatchObject({ code: 0 });
      const tree = join(home, place);
      writeFileSync(join(tree, `${place}.md`), `# by ${name}\n`);
      await git(['-C', tree], 'add', '.');
      await git(['-C', tree], 'commit', '-qm', `Write by ${name}`);
      const pushed = await git(['-C', tree, ...as(token)], 'push', 'origin', 'HEAD:main');
      expect(pushed.output).toContain('-> main');
      expect(pushed.code).toBe(0);
      expect(upstream.inside('show', `main:${place}.md`)).toBe(`# by ${name}\n`);
      expect(await git(as(token), 'clone', '-q', GITHUB, `${place}-again`)).toMatchObject({ code: 0 });
      expect(readFileSync(join(home, `${place}-again`, `${place}.md`), 'utf8')).toBe(`# by ${name}\n`);
    });

    test('pushes several megabytes, which git sends in chunks of unknown length, and fetches them again', async () => {
      const tree = join(home, place);
      const noise = randomBytes(6 * 1024 * 1024);
      writeFileSync(join(tree, 'noise.bin'), noise);
      await git(['-C', tree], 'add', '.');
      await git(['-C', tree], 'commit', '-qm', 'Make noise');
      const pushed = await git(['-C', tree, ...as(token)], 'push', 'origin', 'HEAD:main');
      expect(pushed).toMatchObject({ code: 0 });
      const push = upstream.seen.filter((s) => s.target.endsWith('/git-receive-pack')).at(-1);
      expect(push?.bodyBytes()).toBeGreaterThan(6 * 1024 * 1024);
      expect(upstream.inside('cat-file', '-s', 'main:noise.bin').trim()).toBe(String(noise.length));
      expect(await git(as(token), 'clone', '-q', GITHUB, `${place}-noise`)).toMatchObject({ code: 0 });
      expect(readFileSync(join(home, `${place}-noise`, 'noise.bin')).equals(noise)).toBe(true);
    });
  });

  test('fetches from a long history, with a request that git compresses', async () => {
    const tree = join(home, 'history');
    expect(await git(byHelper(token), 'clone', '-q', GITHUB, 'history')).toMatchObject({ code: 0 });
    // Many refs make the request of the next fetch long: git gzips what is over 1024 bytes.
    mkdirSync(join(tree, 'n'));
    for (let i = 0; i < 60; i += 1) {
      writeFileSync(join(tree, 'n', String(i)), String(i));
      await git(['-C', tree], 'add', '.');
      await git(['-C', tree], 'commit', '-qm', String(i));
    }
    upstream.inside(
      'update-ref',
      'refs/heads/elsewhere',
      upstream.inside('commit-tree', '-m', 'elsewhere', 'main^{tree}').trim(),
    );
    expect(await git(['-C', tree, ...byHelper(token)], 'fetch', 'origin')).toMatchObject({ code: 0 });
    expect(upstream.seen.some((s) => s.headers['content-encoding'] === 'gzip')).toBe(true);
  });

  test('a push with a token that may only clone fails, and git shows our message', async () => {
    const reader = await world.edge.mint('reader', ['git:clone']);
    const refusal = await git(
      ['-C', join(home, 'extraHeader'), ...byHeader(reader)],
      'push',
      'origin',
      'HEAD:refs/heads/sneaky',
    );
    expect(refusal.code).toBe(128);
    expect(refusal.output).toContain('The requested URL returned error: 403');
    expect(refusal.output).toMatch(/remote: .*the token does not hold: git:push/);
    expect(upstream.inside('branch', '--list', 'sneaky')).toBe('');
  });

  test('a token without any capability for git fails, and git shows which it lacks', async () => {
    const stranger = await world.edge.mint('stranger', [`${world.tight}:clone`]);
    const refusal = await git(byHelper(stranger), 'ls-remote', GITHUB);
    expect(refusal.code).toBe(128);
    expect(refusal.output).toContain('The requested URL returned error: 403');
    expect(refusal.output).toMatch(WORDS.missing);
    expect(refusal.output).toContain('git:clone');
  });

  test('an expired token is an authentication failure, and git shows our message', async () => {
    const expired = await world.edge.expired('committer', ['git:clone']);
    const refusal = await git(byHelper(expired), 'ls-remote', GITHUB);
    expect(refusal.code).toBe(128);
    expect(refusal.output).toContain('Authentication failed');
    expect(refusal.output).toMatch(WORDS.expired);
  });

  test('no token at all fails without asking the terminal', async () => {
    const refusal = await git(instead('git'), 'ls-remote', GITHUB);
    expect(refusal.code).toBe(128);
    expect(refusal.output).toMatch(/could not read Username|terminal prompts disabled/);
  });

  test('a call over the limit fails, and git shows our message', async () => {
    const hasty = await world.edge.mint('hasty', [`${world.tight}:clone`]);
    const first = await git(byHeader(hasty, world.tight), '-c', 'protocol.version=0', 'ls-remote', GITHUB);
    expect(first.code).toBe(0);
    const second = await git(byHeader(hasty, world.tight), '-c', 'protocol.version=0', 'ls-remote', GITHUB);
    expect(second.code).toBe(128);
    expect(second.output).toContain('The requested URL returned error: 429');
    expect(second.output).toMatch(WORDS.limited);
  });

  promisesKept(
    () => world,
    () => [SECRET],
  );
});
