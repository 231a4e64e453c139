import { createHash, randomBytes } from 'node:crypto';
import type { ApprovalDetail, ApprovalJson, ApprovalListResponse } from '../../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../../support/edge.ts';
import { until } from '../../support/process.ts';
import { json, startUpstream, type Upstream } from '../../support/upstream.ts';

/** Operators besides the local one: two who may decide, one of a group, one who may only look, one who may only mint. */
const PEOPLE = {
  alice: { roles: ['approve'] },
  bob: { roles: ['approve'] },
  fiona: { roles: ['approve'], groups: ['finance'] },
  audrey: { roles: ['audit'] },
  minty: { roles: ['mint'] },
  // An operator whose id is an agent's.
  twin: { roles: ['approve'] },
} as const;
export type Person = keyof typeof PEOPLE;

export const BANK_KEY = 'sk_live_approvals_0123456789abcdef';

export const bankPolicy = (origin: string, title = 'Pay somebody'): string => `service: bank
origin: ${origin}
credential: { scheme: bearer, secret: BANK_KEY }
max_body: 64KiB
capabilities:
  read: { allow: GET /v1/balance }
  pay: { title: ${title}, allow: POST /v1/payments, approval: { when: body.amount > 1000, ttl: 10m } }
  always: { allow: ["POST /v1/always", "GET /v1/always/{id}", "PUT /v1/always/{id}"], approval: required }
  brief: { allow: POST /v1/brief, approval: { ttl: 2s } }
  two: { allow: POST /v1/two, approval: { count: 2, ttl: 10m } }
  group: { allow: POST /v1/group, approval: { reviewers: finance } }
  person: { allow: POST /v1/person, approval: { reviewers: bob } }
  role: { allow: POST /v1/role, approval: { reviewers: approve } }
  apart: { allow: POST /v1/apart, approval: { separate: true } }
  many: { allow: POST /v1/many, approval: { alike: { count: 3, for: 10m, same: [path, query, body.to] } } }
`;

export const ALL = ['read', 'pay', 'always', 'brief', 'two', 'group', 'person', 'role', 'apart', 'many'].map(
  (name) => `bank:${name}`,
);

export interface Sent {
  readonly status: number;
  readonly headers: Headers;
  readonly body: { readonly code?: string; readonly message?: string; readonly error?: { readonly message: string } };
  readonly approval: string;
}

export interface World {
  readonly edge: TestEdge;
  readonly upstream: Upstream;
  /** Sends an agent's call; a JSON body when one is given. `wait` 0 unless said. */
  readonly send: (token: string, path: string, body?: unknown, options?: SendOptions) => Promise<Sent>;
  readonly as: (who: Person, path: string, init?: RequestInit) => Promise<Response>;
  readonly keyOf: (who: Person) => string;
  readonly decide: (who: Person, id: string, verdict: 'approve' | 'deny', body?: object) => Promise<Response>;
  readonly list: (query?: string) => Promise<ApprovalJson[]>;
  readonly detail: (id: string) => Promise<ApprovalDetail>;
  /** The pending approval of an agent, once it is there. */
  readonly pendingOf: (agent: string) => Promise<ApprovalJson>;
  readonly stop: () => Promise<void>;
}

export interface SendOptions {
  readonly wait?: number | null;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly raw?: string;
  readonly signal?: AbortSignal;
}

export interface WorldOptions {
  readonly upstream?: Upstream;
  readonly directory?: string;
  readonly vars?: Readonly<Record<string, string>>;
  readonly policy?: string;
  readonly keys?: Readonly<Record<Person, string>>;
}

export const newKeys = (): Record<Person, string> =>
  Object.fromEntries(Object.keys(PEOPLE).map((who) => [who, randomBytes(32).toString('hex')])) as Record<
    Person,
    string
  >;

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const upstream = options.upstream ?? (await startUpstream(json({ ok: true })));
  const keys = options.keys ?? newKeys();
  const operators = Object.entries(PEOPLE).map(([id, rest]) => ({
    id,
    ...rest,
    sha256: createHash('sha256')
      .update(keys[id as Person])
      .digest('hex'),
  }));
  const edge = await startTestEdge({
    policies: { 'bank.yaml': options.policy ?? bankPolicy(upstream.origin) },
    vars: { BANK_KEY, KEYWARDEN_OPERATORS: JSON.stringify(operators), ...options.vars },
    ...(options.directory === undefined ? {} : { directory: options.directory }),
  });
  const as = (who: Person, path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(edge.url + path, {
      ...init,
      headers: { ...(init.headers as Record<string, string>), authorization: `Bearer ${keys[who]}` },
    });
  const list = async (query = ''): Promise<ApprovalJson[]> =>
    ((await (await as('audrey', `/v1/approvals?limit=200${query}`)).json()) as ApprovalListResponse).approvals;
  return {
    edge,
    upstream,
    as,
    keyOf: (who) => keys[who],
    list,
    async send(token, path, body, { wait = 0, method, headers = {}, raw, signal } = {}) {
      const hasBody = raw !== undefined || body !== undefined;
      const response = await fetch(`${edge.proxy('bank')}${path}`, {
        method: method ?? (hasBody ? 'POST' : 'GET'),
        headers: {
          authorization: `Bearer ${token}`,
          ...(hasBody ? { 'content-type': 'application/json' } : {}),
          ...(wait === null ? {} : { prefer: `wait=${wait}` }),
          ...headers,
        },
        ...(hasBody ? { body: raw ?? JSON.stringify(body) } : {}),
        ...(signal === undefined ? {} : { signal }),
      });
      return {
        status: response.status,
        headers: response.headers,
        body: (await response.json()) as Sent['body'],
        approval: response.headers.get('keywarden-approval') ?? '',
      };
    },
    decide: (who, id, verdict, body) =>
      as(who, `/v1/approvals/${id}/${verdict}`, {
        method: 'POST',
        ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      }),
    detail: async (id) => (await (await as('alice', `/v1/approvals/${id}`)).json()) as ApprovalDetail,
    async pendingOf(agent) {
      let found: ApprovalJson | undefined;
      await until('a pending approval', async () => {
        found = (await list(`&state=pending&agent=${encodeURIComponent(agent)}`))[0];
        return found !== undefined;
      });
      return found as ApprovalJson;
    },
    async stop() {
      await edge.stop();
      if (options.upstream === undefined) await upstream.stop();
    },
  };
}

/** Events of an agent's rows, oldest first. */
export const eventsOf = async (edge: TestEdge, agent: string): Promise<string[]> =>
  (await edge.audit({ agent }))
    .sort((a, b) => a.seq - b.seq)
    .map((row) => (row.reason === null ? row.event : `${row.event} ${row.reason}`));
