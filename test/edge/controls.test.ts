import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Gate, startGate } from '../support/gate.ts';
import { type GitUpstream, startGitUpstream } from '../support/git-upstream.ts';
import { end, start, until } from '../support/process.ts';
import { rawCall, rawRequest, sendRaw } from '../support/raw.ts';
import {
  download,
  garbage,
  hang,
  ranged,
  reset,
  sse,
  startUpstream,
  type Upstream,
  upload,
} from '../support/upstream.ts';

/** The instruments of the other tests, without the edge: what they must see, they see. */

const JWT = `${Buffer.from('{"alg":"EdDSA","typ":"at+jwt"}').toString('base64url')}.${Buffer.from('{"iss":"x","sub":"agent"}').toString('base64url')}.${'s'.repeat(86)}`;

describe('the gate', () => {
  let gate: Gate;
  let behind: Upstream;
  beforeAll(async () => {
    behind = await startUpstream();
    gate = await startGate({ to: behind.origin, credential: { header: 'authorization', value: 'Bearer real' } });
  });
  afterAll(async () => {
    await gate.stop();
    await behind.stop();
  });

  const status = async (path: string, headers: Record<string, string> = {}): Promise<number> =>
    (await fetch(gate.origin + path, { headers })).status;

  test('opens to the real credential, and to no other', async () => {
    expect(await status('/a', { authorization: 'Bearer real' })).toBe(200);
    expect(await status('/a', { authorization: 'Bearer other' })).toBe(401);
    expect(await status('/a')).toBe(401);
  });

  test.each([
    ['in a field', '/a', { 'x-debug': JWT }],
    ['as bearer', '/a', { authorization: `Bearer ${JWT}` }],
    ['inside Basic', '/a', { authorization: `Basic ${Buffer.from(`x:${JWT}`).toString('base64')}` }],
    ['in the path', `/a/${JWT}`, {}],
    ['in the query', `/a?x=${JWT}`, {}],
    ['percent-encoded in the query', `/a?x=${JWT.replaceAll('.', '%2E')}`, {}],
    [
      'in Credential=',
      '/a',
      { authorization: `AWS4-HMAC-SHA256 Credential=${JWT}/20260101/us-east-1/s3/aws4_request` },
    ],
  ])(
    'shouts when a capability token comes %s, even beside the real credential',
    async (_, path, headers: Record<string, string>) => {
      gate.forget();
      expect(await status(path, { cookie: 'none', authorization: 'Bearer real', ...headers })).toBe(418);
      expect(gate.leaks).toHaveLength(1);
    },
  );

  test('passes target, fields and body on unchanged', async () => {
    behind.forget();
    await sendRaw(
      gate.port,
      rawRequest(
        'POST',
        '/a%2Fb//c?x=1&x=2',
        ['Host: here', 'Authorization: Bearer real', 'X-Odd:  Case ', 'Content-Length: 3', 'Connection: close'],
        'abc',
      ),
    );
    expect(behind.seen[0]).toMatchObject({ method: 'POST', target: '/a%2Fb//c?x=1&x=2' });
    expect(behind.seen[0]?.rawHeaders.slice(0, 6)).toEqual([
      'Host',
      'here',
      'Authorization',
      'Bearer real',
      'X-Odd',
      'Case',
    ]);
    expect(behind.seen[0]?.body().toString()).toBe('abc');
  });
});

describe('the upstream and the raw client', () => {
  let upstream: Upstream;
  beforeAll(async () => {
    upstream = await startUpstream();
  });
  afterAll(() => upstream.stop());

  test('what a client sent is remembered byte for byte', async () => {
    await rawCall(upstream.port, 'PUT', '/a/../b', {
      fields: ['Transfer-Encoding: chunked', 'X-A: 1', 'x-a: 2'],
      body: '3\r\nabc\r\n0\r\n\r\n',
    });
    const seen = upstream.seen.at(-1);
    expect(seen).toMatchObject({ method: 'PUT', target: '/a/../b' });
    expect(seen?.headers['x-a']).toBe('1, 2');
    expect(seen?.body().toString()).toBe('abc');
    expect(await seen?.received).toBe('whole');
  });

  test('an upload is counted and hashed, not held', async () => {
    upstream.handle(upload());
    const answer = (await (
      await fetch(upstream.origin, { method: 'POST', body: Buffer.alloc(8 * 1024 * 1024, 1) })
    ).json()) as { bytes: number };
    expect(answer.bytes).toBe(8 * 1024 * 1024);
    expect(upstream.seen.at(-1)?.body().length).toBe(4 * 1024 * 1024);
  });

  test('a download has the length that it says', async () => {
    upstream.handle(download(5_000_001));
    expect((await (await fetch(upstream.origin)).arrayBuffer()).byteLength).toBe(5_000_001);
  });

  test('a range is a part', async () => {
    upstream.handle(ranged(Buffer.from('0123456789')));
    const part = await fetch(upstream.origin, { headers: { range: 'bytes=3-5' } });
    expect([part.status, await part.text()]).toEqual([206, '345']);
  });

  test('events come one by one', async () => {
    upstream.handle(sse(['data: 1\n\n', 'data: 2\n\n'], 100));
    const chunks: string[] = [];
    for await (const chunk of (await fetch(upstream.origin)).body ?? []) chunks.push(Buffer.from(chunk).toString());
    expect(chunks).toEqual(['data: 1\n\n', 'data: 2\n\n']);
  });

  test('a reset, garbage and silence are what they say', async () => {
    upstream.handle(reset());
    expect(await rawCall(upstream.port, 'GET', '/')).toBeNull();
    upstream.handle(garbage('no HTTP\r\n\r\n'));
    expect(await rawCall(upstream.port, 'GET', '/')).toBeNull();
    upstream.handle(hang());
    await expect(rawCall(upstream.port, 'GET', '/', { timeoutMs: 300 })).rejects.toThrow('no whole response');
    expect(await upstream.seen.at(-1)?.closed).toBe('cut');
  });
});

describe('a program that a test started', () => {
  test('is ended by its pid, and what it leaves behind is an error', async () => {
    await end(start('sleep', ['60']));
    const leaving = start('sh', ['-c', 'trap "exit 0" TERM; sleep 61 & echo begun; wait']);
    await until('its child', () => leaving.output().includes('begun'));
    await expect(end(leaving)).rejects.toThrow(/left over: sleep/);
  });
});

describe('the git upstream', () => {
  let upstream: GitUpstream;
  let home: string;
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'keywarden-git-control-'));
    upstream = await startGitUpstream('real');
  });
  afterAll(async () => {
    rmSync(home, { recursive: true, force: true });
    await upstream.stop();
  });

  test('serves git with the real credential, and not without', async () => {
    const lsRemote = (user: string): string[] => [
      '-c',
      'credential.helper=',
      'ls-remote',
      `http://${user}@127.0.0.1:${upstream.port}/octocat/hello-world.git`,
    ];
    const run = async (...args: string[]): Promise<number | null> =>
      (await start('git', args, { env: { PATH: process.env.PATH, HOME: home, GIT_TERMINAL_PROMPT: '0' } }).ended).code;
    expect(await run(...lsRemote('x-access-token:real'))).toBe(0);
    expect(await run(...lsRemote('x-access-token:other'))).toBe(128);
    expect(execFileSync('git', ['--version'], { encoding: 'utf8' })).toContain('git version');
  });
});
