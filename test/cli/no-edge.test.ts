import { existsSync, readdirSync, statSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../support/process.ts';
import { begin, type Ended, ended, keywarden, type RunOptions, scratch } from './command-line.ts';

/** What answers where KEYWARDEN_URL leads to is no edge: a typing error, a proxy's page, another service. */
const KEY = `kwop_${'k'.repeat(43)}`;
let place: ReturnType<typeof scratch>;
let server: Server | null = null;
beforeEach(() => (place = scratch()));
afterEach(() => {
  server?.close();
  place.remove();
});

async function listen(one: Server): Promise<string> {
  server = one;
  await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(one.address() as AddressInfo).port}`;
}
const web = (answer: RequestListener): Promise<string> => listen(createServer(answer));
const environmentOf = (url: string): RunOptions => ({
  env: { KEYWARDEN_URL: url, KEYWARDEN_OPERATOR_KEY: KEY },
  cwd: place.path,
});
const run = (url: string, ...args: string[]): Promise<Ended> => keywarden(args, environmentOf(url));

const COMMANDS = [
  ['token', '--agent', 'a', '--can', 'widgets:read'],
  ['token', 'revoke', '--agent', 'a'],
  ['audit', 'list'],
  ['audit', 'verify'],
  ['audit', 'export'],
];
const MENDED = /hint: is the address right\?/;

describe('in the place of the edge answers', () => {
  it('a redirect: where it leads to is said, and not followed with the operator key', async () => {
    const asked: string[] = [];
    const url = await web((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(302, { location: '/login?from=x' }).end();
    });
    for (const command of COMMANDS) {
      const { code, stdout, stderr } = await run(url, ...command);
      expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
      expect(stderr).toContain(`error: ${url} does not answer as an edge does: status 302, to ${url}/login`);
      expect(stderr).toMatch(MENDED);
      expect(stderr).not.toContain(KEY);
    }
    expect(asked).not.toContain('/login?from=x');
  });

  it('an error page', async () => {
    const url = await web((_request, response) => response.writeHead(503).end('<h1>Bad gateway</h1>'));
    for (const command of COMMANDS) {
      const { code, stdout, stderr } = await run(url, ...command);
      expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
      expect(stderr).toContain(`error: ${url} does not answer as an edge does: status 503`);
      expect(stderr).toMatch(MENDED);
    }
  });

  it.each([
    ['a page', '<html>\n<p>welcome</p>\n</html>\n'],
    ['rows without the checkpoint at their end', '{"seq":1}\n{"seq":2}\n'],
    ['nothing', ''],
  ])('%s: it is no export, and no file of it is left', async (_what, page) => {
    const url = await web((_request, response) => response.end(page));
    const file = join(place.path, 'out.ndjson');
    for (const args of [[], ['--out', file]]) {
      const { code, stderr } = await run(url, 'audit', 'export', ...args);
      expect(code).toBe(125);
      expect(stderr).toContain('no checkpoint stands at its end');
      expect(stderr).not.toContain('wrote');
    }
    expect(readdirSync(place.path).filter((name) => name.startsWith('out'))).toEqual([]);
  });

  it('an export that is killed while it comes: its file has not its name yet', async () => {
    const url = await web((_request, response) => response.write('{"seq":1}\n'));
    const file = join(place.path, 'killed.ndjson');
    const child = begin(['audit', 'export', '--out', file], environmentOf(url));
    const part = join(place.path, `killed.ndjson.part-${child.pid}`);
    await until('the first row is written', () => existsSync(part) && statSync(part).size > 0);
    child.kill('SIGKILL');
    await ended(child);
    expect(existsSync(file)).toBe(false);
  });

  it('what speaks no HTTP', async () => {
    const url = await listen(createTcpServer((socket) => socket.on('error', () => {}).end('SSH-2.0-x\r\n')));
    const { code, stderr } = await run(url, 'audit', 'list');
    expect(code).toBe(125);
    expect(stderr).toContain(`error: the edge at ${url} cannot be reached: what listens there speaks no HTTP`);
    expect(stderr).toMatch(/hint: .*https:/);
  });

  it('plain HTTP where TLS is meant', async () => {
    const url = (await web((_request, response) => response.end('{}'))).replace('http:', 'https:');
    const { code, stderr } = await run(url, 'audit', 'list');
    expect(code).toBe(125);
    expect(stderr).toContain(`error: the edge at ${url} cannot be reached: what listens there speaks no TLS`);
    expect(stderr).not.toMatch(/openssl|SSL routines/);
  });
});
