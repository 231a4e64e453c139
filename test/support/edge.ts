import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AuditListResponse, AuditRowJson, AuditVerifyResponse, MintResponse } from '../../src/protocol.ts';
import { end, familyOf, type Started, start, until } from './process.ts';

const CLI = fileURLToPath(new URL('../../runner/bin/keywarden.js', import.meta.url));
const START_TIMEOUT_MS = 90_000;

export interface TestEdgeOptions {
  /** File name → YAML. */
  readonly policies: Readonly<Record<string, string>>;
  /** The secrets, name → value. */
  readonly vars: Readonly<Record<string, string>>;
  /** More environment for the CLI; it gets nothing of ours but PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** More arguments for `keywarden dev`. */
  readonly args?: readonly string[];
  /** A directory of the caller's (as `edge.directory` of an edge before): state is found there and stays there. */
  readonly directory?: string;
}

export interface TestEdge {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly port: number;
  /** The state directory (`--state`). */
  readonly state: string;
  /** What holds state, policies and vars. */
  readonly directory: string;
  readonly operatorKey: string;
  /** Pid of the CLI. */
  readonly pid: number;
  /** `<url>/proxy/<service>`. */
  readonly proxy: (service: string) => string;
  readonly mint: (agent: string, can: readonly string[], options?: MintOptions) => Promise<string>;
  readonly mintFully: (agent: string, can: readonly string[], options?: MintOptions) => Promise<MintResponse>;
  /** A token that has just expired. */
  readonly expired: (agent: string, can: readonly string[]) => Promise<string>;
  /** Audit rows, newest first, at most 1000. */
  readonly audit: (filter?: Readonly<Record<string, string | number>>) => Promise<AuditRowJson[]>;
  /** What `GET /v1/audit/verify` answers. */
  readonly verify: () => Promise<AuditVerifyResponse>;
  /** Any request to the edge's own API as its operator. */
  readonly operate: (path: string, init?: RequestInit) => Promise<Response>;
  readonly workerdPid: () => number;
  /** SIGKILL for workerd; resolves when the CLI, which then has nothing to serve with, ended too. */
  readonly kill9Workerd: () => Promise<void>;
  /** All that the CLI and the Worker said, on stdout and stderr. */
  readonly logs: () => string;
  /** Ends it and removes its directory. @throws when a process is left over. May be called twice. */
  readonly stop: () => Promise<void>;
}

export interface MintOptions {
  readonly ttlSeconds?: number;
  readonly session?: string;
}

/** Starts the real command, `keywarden dev`, with policies and secrets of the test's own. */
export async function startTestEdge(options: TestEdgeOptions): Promise<TestEdge> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'keywarden-edge-'));
  const [policies, vars, state, home] = ['policies', 'secrets.vars', 'state', 'home'].map((name) =>
    join(directory, name),
  ) as [string, string, string, string];
  rmSync(policies, { recursive: true, force: true });
  for (const dir of [policies, home]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  for (const [name, text] of Object.entries(options.policies)) writeFileSync(join(policies, name), text);
  writeFileSync(
    vars,
    Object.entries(options.vars)
      .map(([name, value]) => `${name}=${quoted(value)}\n`)
      .join(''),
    { mode: 0o600 },
  );

  const args = [
    CLI,
    'dev',
    '--port',
    '0',
    '--policies',
    policies,
    '--vars',
    vars,
    '--state',
    state,
    ...(options.args ?? []),
  ];
  const program = start(process.execPath, args, {
    cwd: directory,
    env: { PATH: process.env.PATH, HOME: home, TMPDIR: tmpdir(), ...options.env },
  });
  const remove = (): void => {
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  };
  let url: string;
  try {
    url = await readyAddress(program);
  } catch (error) {
    await end(program).catch(() => {});
    remove();
    throw error;
  }
  return handle(program, url, { directory, state, remove });
}

async function readyAddress(program: Started): Promise<string> {
  const ready = (): string | undefined => /^ready (http:\/\/127\.0\.0\.1:\d+)$/m.exec(program.output())?.[1];
  let over = false;
  void program.ended.then(() => (over = true));
  await until('the line "ready http://127.0.0.1:PORT"', () => over || ready() !== undefined, START_TIMEOUT_MS).catch(
    (error: Error) => {
      throw new Error(`${error.message}\n${program.output()}`);
    },
  );
  const url = ready();
  if (url === undefined) throw new Error(`keywarden dev ended before it was ready:\n${program.output()}`);
  return url;
}

function handle(
  program: Started,
  url: string,
  place: { directory: string; state: string; remove: () => void },
): TestEdge {
  const operatorKey = readFileSync(join(place.state, 'operator.key'), 'utf8').trim();
  const operate = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(url + path, {
      ...init,
      headers: { ...(init.headers as Record<string, string>), authorization: `Bearer ${operatorKey}` },
    });
  const json = async <T>(response: Response): Promise<T> => {
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}\n${program.output().slice(-2000)}`);
    return (await response.json()) as T;
  };
  const mintFully = async (agent: string, can: readonly string[], options: MintOptions = {}): Promise<MintResponse> =>
    json<MintResponse>(
      await operate('/v1/tokens', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          agent_id: agent,
          capabilities: can,
          ...(options.ttlSeconds === undefined ? {} : { ttl_seconds: options.ttlSeconds }),
          ...(options.session === undefined ? {} : { session_id: options.session }),
        }),
      }),
    );
  const workerdPid = (): number => {
    const workerd = familyOf(program.pid).find((p) => p.name.startsWith('workerd'));
    if (workerd === undefined) throw new Error('no workerd below the CLI');
    return workerd.pid;
  };
  let stopped: Promise<void> | undefined;
  return {
    url,
    port: Number(new URL(url).port),
    state: place.state,
    directory: place.directory,
    operatorKey,
    pid: program.pid,
    proxy: (service) => `${url}/proxy/${service}`,
    mint: async (agent, can, options) => (await mintFully(agent, can, options)).token,
    mintFully,
    async expired(agent, can) {
      const { token, expires_at: expiresAt } = await mintFully(agent, can, { ttlSeconds: 1 });
      await until('the token to expire', () => Date.now() > Date.parse(expiresAt) + 1_000);
      return token;
    },
    async audit(filter = {}) {
      const query = new URLSearchParams({ limit: '1000' });
      for (const [name, value] of Object.entries(filter)) query.set(name, String(value));
      return (await json<AuditListResponse>(await operate(`/v1/audit?${query}`))).rows;
    },
    verify: async () => json<AuditVerifyResponse>(await operate('/v1/audit/verify')),
    operate,
    workerdPid,
    async kill9Workerd() {
      process.kill(workerdPid(), 'SIGKILL');
      await program.ended;
    },
    logs: program.output,
    stop: () => (stopped ??= end(program).finally(place.remove)),
  };
}

/** As dotenv reads it back unchanged. */
function quoted(value: string): string {
  const quote = ["'", '"', '`'].find((q) => !value.includes(q));
  if (quote === undefined) throw new Error('a value with all three kinds of quotes cannot be written to a vars file');
  return quote + value + quote;
}
