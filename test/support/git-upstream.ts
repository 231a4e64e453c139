import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Gate, startGate } from './gate.ts';
import { answer } from './upstream.ts';

export interface GitUpstream extends Gate {
  /** Where the bare repositories are. */
  readonly root: string;
  /** Runs git in the bare repository itself, to see what really arrived. */
  readonly inside: (...args: string[]) => string;
}

const IDENTITY = {
  GIT_AUTHOR_NAME: 'Upstream',
  GIT_AUTHOR_EMAIL: 'upstream@example.com',
  GIT_COMMITTER_NAME: 'Upstream',
  GIT_COMMITTER_EMAIL: 'upstream@example.com',
};

/** git's own `http-backend` (CGI, RFC 3875) with one repository, `octocat/hello-world.git`, behind Basic `x-access-token:<secret>`. */
export async function startGitUpstream(secret: string): Promise<GitUpstream> {
  const root = mkdtempSync(join(tmpdir(), 'keywarden-git-'));
  const repository = join(root, 'octocat', 'hello-world.git');
  execFileSync('git', ['init', '-q', '--bare', '-b', 'main', repository]);
  const inside = (...args: string[]): string =>
    execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8', env: { ...process.env, ...IDENTITY } });
  inside('config', 'http.receivepack', 'true');
  const gate = await startGate({
    credential: {
      header: 'authorization',
      value: `Basic ${Buffer.from(`x-access-token:${secret}`).toString('base64')}`,
    },
    unauthorized: answer(401, '', { 'www-authenticate': 'Basic realm="git"' }),
    routes: new Proxy({}, { get: () => (req: IncomingMessage, res: ServerResponse) => httpBackend(req, res, root) }),
  });
  return {
    ...gate,
    root,
    inside,
    async stop() {
      await gate.stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function httpBackend(req: IncomingMessage, res: ServerResponse, root: string): void {
  const [path = '', query = ''] = (req.url ?? '').split('?', 2);
  const field = (name: string): string => String(req.headers[name] ?? '');
  const cgi = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      // The repository may belong to another user than the one who runs the tests.
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      REQUEST_METHOD: req.method,
      PATH_INFO: decodeURIComponent(path),
      QUERY_STRING: query,
      CONTENT_TYPE: field('content-type'),
      CONTENT_LENGTH: field('content-length'),
      HTTP_CONTENT_ENCODING: field('content-encoding'),
      GIT_PROTOCOL: field('git-protocol'),
      REMOTE_USER: 'x-access-token',
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  cgi.stdin.on('error', () => {});
  req.pipe(cgi.stdin);
  res.on('close', () => cgi.kill());
  let head = Buffer.alloc(0);
  const onHead = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    cgi.stdout.off('data', onHead);
    let status = 200;
    for (const line of head.subarray(0, end).toString('latin1').split('\r\n')) {
      const name = line.slice(0, line.indexOf(':'));
      const value = line.slice(line.indexOf(':') + 1).trim();
      if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
      else res.appendHeader(name, value);
    }
    res.writeHead(status);
    res.write(head.subarray(end + 4));
    cgi.stdout.pipe(res);
  };
  cgi.stdout.on('data', onHead);
  cgi.stdout.on('end', () => res.end());
}
