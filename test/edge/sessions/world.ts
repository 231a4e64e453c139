import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { CompactSign } from 'jose';
import type { SessionJson, SessionReceipt, SessionStartRequest } from '../../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../../support/edge.ts';
import { json, startUpstream, type Upstream } from '../../support/upstream.ts';

/** A runner's key, and the calls a runner makes, spoken plainly so that a test can also say the wrong thing. */
export interface Runner {
  readonly x: string;
  readonly privateKey: KeyObject;
}

export function makeRunner(): Runner {
  const { privateKey } = generateKeyPairSync('ed25519');
  return { privateKey, x: privateKey.export({ format: 'jwk' }).x ?? '' };
}

/** Operators with one role each, beside the edge's own, who has all. */
export const KEYS = {
  runner: { key: 'kwop_runner_0123456789abcdef', roles: ['mint'] },
  neighbour: { key: 'kwop_neighbour_0123456789abcdef', roles: ['mint'] },
  auditor: { key: 'kwop_auditor_0123456789abcdef', roles: ['audit'] },
  approver: { key: 'kwop_approver_0123456789abcdef', roles: ['approve'] },
} as const;

let made = 0;
export const newSession = (): string =>
  `ses_${String(++made).padStart(6, '0')}${Date.now().toString(36).padStart(20, '0')}`;

export const startOf = (runner: Runner, session: string, more: object = {}): SessionStartRequest => ({
  session_id: session,
  agent_id: 'worker',
  backend: 'namespace',
  host: 'host-1',
  program: 'python3',
  capabilities: ['bank:read'],
  deadline_at: new Date(Date.now() + 60_000).toISOString(),
  key: { kty: 'OKP', crv: 'Ed25519', x: runner.x },
  ...more,
});

export const countersOf = (denied = 0) => ({
  denied: denied === 0 ? [] : [{ path_class: 'aws', syscall: 'openat', count: denied }],
  observed: [{ path_class: 'ssh', syscall: 'newfstatat', count: 2 }],
  blocked: [{ syscall: 'ptrace', count: 1 }],
  dropped: 0,
  sources: ['seccomp-notify'],
});

export const receiptOf = (session: string, more: object = {}): SessionReceipt => ({
  version: 1,
  session_id: session,
  agent_id: 'worker',
  backend: 'namespace',
  host: 'host-1',
  started: {
    program: 'python3',
    argv: ['python3', 'agent.py'],
    argv_omitted: 0,
    root: null,
    mounts: [],
    limits: { memory_bytes: 1 },
    layers: [{ name: 'bubblewrap', present: true, required: true }],
    capabilities: ['bank:read'],
    secrets: [],
  },
  at: {
    leased: new Date().toISOString(),
    running: new Date().toISOString(),
    ended: new Date().toISOString(),
    deadline: new Date().toISOString(),
    duration_ms: 12,
  },
  reason: 'exited',
  exit_code: 0,
  signal: null,
  token: null,
  counters: countersOf(3),
  absence: {
    proven: true,
    looked_at: new Date().toISOString(),
    found: { process: 0, container: 0, network: 0, volume: 0, mount: 0, cgroup: 0, socket: 0, file: 0 },
  },
  written_by: 'runner',
  ...more,
});

export const signed = (
  runner: Runner,
  payload: unknown,
  header: object = { alg: 'EdDSA', typ: 'keywarden-receipt+jwt' },
): Promise<string> =>
  new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader(header as { alg: string })
    .sign(runner.privateKey);

export interface World {
  readonly edge: TestEdge;
  readonly upstream: Upstream;
  readonly post: (path: string, body?: unknown, key?: string) => Promise<Response>;
  readonly get: (path: string, key?: string) => Promise<Response>;
  readonly start: (runner: Runner, more?: object) => Promise<string>;
  readonly session: (id: string) => Promise<SessionJson>;
  readonly stop: () => Promise<void>;
}

export async function startWorld(): Promise<World> {
  const upstream = await startUpstream(json({ ok: true }));
  const edge = await startTestEdge({
    policies: {
      'bank.yaml': `service: bank
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities: { read: { allow: GET /v1/balance } }
`,
    },
    vars: {
      BANK_KEY: 'sk_live_sessions_0123456789',
      KEYWARDEN_OPERATORS: JSON.stringify(
        Object.entries(KEYS).map(([id, { key, roles }]) => ({
          id,
          roles,
          sha256: createHash('sha256').update(key).digest('hex'),
        })),
      ),
    },
  });
  const send = (path: string, init: RequestInit, key?: string): Promise<Response> =>
    key === undefined
      ? edge.operate(path, init)
      : fetch(edge.url + path, { ...init, headers: { ...(init.headers as object), authorization: `Bearer ${key}` } });
  const post: World['post'] = (path, body, key) =>
    send(
      path,
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: body === undefined ? '' : JSON.stringify(body),
      },
      key,
    );
  return {
    edge,
    upstream,
    post,
    get: (path, key) => send(path, {}, key),
    async start(runner, more = {}) {
      const id = newSession();
      const response = await post('/v1/sessions', startOf(runner, id, more));
      if (response.status !== 201) throw new Error(await response.text());
      return id;
    },
    session: async (id) => (await (await edge.operate(`/v1/sessions/${id}`)).json()) as SessionJson,
    async stop() {
      await edge.stop();
      await upstream.stop();
    },
  };
}
