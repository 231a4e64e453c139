import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { importJWK, type JWTPayload, SignJWT } from 'jose';
import { expect } from 'vitest';
import type { AuditRowJson } from '../../src/protocol.ts';
import { startTestEdge, type TestEdge, type TestEdgeOptions } from '../support/edge.ts';
import { type RawOptions, type RawResponse, rawCall } from '../support/raw.ts';
import { type Handler, json, startUpstream, type Upstream } from '../support/upstream.ts';

/** The real edge before a real upstream, with one service for each injection scheme; every credential is unique. */
export interface World {
  readonly edge: TestEdge;
  readonly upstream: Upstream;
  /** A token of `agent`, `agent-1` unless said. */
  readonly token: (can: readonly string[], agent?: string) => Promise<string>;
  readonly call: (service: string, method: string, target: string, options?: CallOptions) => Promise<RawResponse>;
  readonly stop: () => Promise<void>;
}

export type CallOptions = RawOptions & {
  readonly token?: string;
  readonly fields?: readonly string[];
  readonly body?: string;
};

export const BANK_KEY = 'sk_live_Bank+7/Q"x=Zr0%';
export const KEYED_KEY = 'key_KEYEDkeyed0123456789ab';
export const PAIR_KEY = 'pw_PAIRpairPAIR!9876543210';
export const QUERY_KEY = 'AIzaQUERYquery-_0123456789&+/';
export const AWS_ID = 'AKIASECTIONATEST0001';
export const AWS_SECRET = 'wSecretSectionA/K7MDENG+bPxRfiCYTESTKEY1';

export const VARS: Readonly<Record<string, string>> = {
  BANK_KEY,
  KEYED_KEY,
  PAIR_KEY,
  QUERY_KEY,
  AWS_ID,
  AWS_SECRET,
};

/** Everything that an agent can be given here. */
export const ALL = [
  'bank:read',
  'bank:refund',
  'bank:echo',
  'keyed:echo',
  'pair:echo',
  'queried:echo',
  'aws:echo',
] as const;

const echoPolicy = (service: string, origin: string, credential: string): string => `
service: ${service}
origin: ${origin}
credential: ${credential}
timeout: 2s
idle_timeout: 2s
capabilities:
  echo:
    allow: ["GET /echo/{path+}", "HEAD /echo/{path+}", "POST /echo/{path+}", "PUT /echo/{path+}"]
`;

/** The policies of the world, file name → YAML. */
export function policiesFor(origin: string): Record<string, string> {
  return {
    'bank.yaml': `
service: bank
origin: ${origin}
credential: { scheme: bearer, secret: BANK_KEY }
errors: stripe
timeout: 2s
idle_timeout: 2s
capabilities:
  read:
    allow: ["GET /v1/balance", "GET /v1/customers/{id}"]
  refund:
    allow: POST /v1/refunds
    when: body.amount <= 5000
  echo:
    allow: ["GET /echo/{path+}", "HEAD /echo/{path+}", "POST /echo/{path+}", "PUT /echo/{path+}"]
  root:
    allow: GET /
  once:
    allow: GET /once
    limit: 1/day
  safe:
    allow: GET /safe
    when: headers["x-mode"] == "safe"
  marked:
    allow: GET /marked
    when: '"x-mark" in headers'
`,
    'keyed.yaml': echoPolicy('keyed', origin, '{ scheme: header, header: X-Acme-Key, secret: KEYED_KEY }'),
    'pair.yaml': echoPolicy('pair', origin, '{ scheme: basic, username: robot, secret: PAIR_KEY }'),
    'queried.yaml': echoPolicy('queried', origin, '{ scheme: query, param: key, secret: QUERY_KEY }'),
    'aws.yaml': echoPolicy(
      'aws',
      origin,
      '{ scheme: sigv4, accessKeyId: AWS_ID, secretAccessKey: AWS_SECRET, region: eu-central-1, service: s3 }',
    ),
  };
}

export interface WorldOptions {
  readonly handler?: Handler;
  readonly policies?: (origin: string) => Record<string, string>;
  readonly vars?: Readonly<Record<string, string>>;
  readonly edge?: Partial<TestEdgeOptions>;
}

export async function startWorld({
  handler = json({ ok: true }),
  policies = policiesFor,
  vars = VARS,
  edge: more = {},
}: WorldOptions = {}): Promise<World> {
  const upstream = await startUpstream(handler);
  const edge = await startTestEdge({ policies: policies(upstream.origin), vars, ...more }).catch(
    async (error: unknown) => {
      await upstream.stop();
      throw error;
    },
  );
  return {
    edge,
    upstream,
    token: (can, agent = 'agent-1') => edge.mint(agent, can),
    async call(service, method, target, options) {
      const answer = await rawCall(edge.port, method, `/proxy/${service}${target}`, options);
      if (answer === null) throw new Error('the edge closed the connection without an answer');
      return answer;
    },
    async stop() {
      await edge.stop().finally(() => upstream.stop());
    },
  };
}

export const requestIdOf = (answer: RawResponse): string => {
  const id = answer.headers['keywarden-request-id'];
  if (id === undefined)
    throw new Error(`no request id in ${answer.status} ${answer.body.toString('utf8').slice(0, 300)}`);
  return id;
};

/** All audit rows of one request, oldest first. */
export async function rowsOf(world: World, answer: RawResponse): Promise<AuditRowJson[]> {
  return (await world.edge.audit({ request_id: requestIdOf(answer) })).toReversed();
}

/** The one row of this event for one request; the outcome may still wait in the isolate, so it is waited for. */
export async function rowOf(world: World, answer: RawResponse, event: string): Promise<AuditRowJson> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const rows = (await rowsOf(world, answer)).filter((row) => row.event === event);
    if (rows.length > 1) throw new Error(`${rows.length} rows ${event}`);
    if (rows[0] !== undefined) return rows[0];
    if (Date.now() > deadline)
      throw new Error(`no row ${event} for ${requestIdOf(answer)}: ${JSON.stringify(await rowsOf(world, answer))}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** It was refused: the upstream was not called since the last `forget`, the status is as said, and the row says why. */
export async function expectRefused(
  world: World,
  answer: RawResponse,
  status: number,
  reason: string,
): Promise<AuditRowJson> {
  const text = answer.body.toString('utf8').slice(0, 300);
  expect({ status: answer.status, seen: world.upstream.seen.length }, text).toEqual({ status, seen: 0 });
  const row = await rowOf(world, answer, 'call.denied');
  expect(row, text).toMatchObject({ decision: 'deny', reason });
  expect(await rowsOf(world, answer)).toHaveLength(1);
  return row;
}

/** It went through: the upstream saw exactly one request, and intent and outcome stand in the audit. */
export async function expectPassed(world: World, answer: RawResponse, status = 200): Promise<void> {
  expect(
    { status: answer.status, seen: world.upstream.seen.length },
    answer.body.toString('utf8').slice(0, 300),
  ).toEqual({ status, seen: 1 });
  expect(await rowOf(world, answer, 'call.admitted')).toMatchObject({ decision: 'allow' });
  expect(await rowOf(world, answer, 'call.completed')).toMatchObject({ status });
}

/** What `keywarden dev` calls itself. */
const ISSUER = 'https://keywarden.localhost';

/** Claims that the edge would accept, changed as said. */
export function claimsFor(can: readonly string[], change: JWTPayload = {}): JWTPayload {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: ISSUER,
    aud: ISSUER,
    sub: 'agent-1',
    iat: now - 10,
    exp: now + 600,
    jti: crypto.randomUUID(),
    capabilities: [...can],
    ...change,
  };
}

/** Signs anything with the edge's very own key: what even a stolen signature must not get through. */
export async function signedByEdge(
  world: World,
  claims: JWTPayload,
  header: Record<string, unknown> = {},
): Promise<string> {
  const jwk = JSON.parse(readFileSync(join(world.edge.state, 'signing.jwk'), 'utf8'));
  const key = await importJWK(jwk, 'EdDSA');
  return new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', kid: jwk.kid, typ: 'at+jwt', ...header }).sign(key);
}

/** The signing key's public part and kid, as any reader of the JWKS has them. */
export async function publicKeyOf(world: World): Promise<{ kid: string; x: string }> {
  const response = await fetch(`${world.edge.url}/.well-known/jwks.json`);
  const { keys } = (await response.json()) as { keys: { kid: string; x: string }[] };
  const [key] = keys;
  if (key === undefined) throw new Error('no key in the JWKS');
  return key;
}
