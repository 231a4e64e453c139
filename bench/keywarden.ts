import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Miniflare } from 'miniflare';
import { awaitHealth } from '../runner/src/edge/health.ts';
import { applyMigrations } from '../runner/src/edge/migrations.ts';
import { bundleWorker } from '../runner/src/edge/worker-bundle.ts';
import { readWorkerSettings } from '../runner/src/edge/worker-settings.ts';
import { compileDirectory } from '../runner/src/policy/compile.ts';
import { makeOperatorKey, makeSigningKey, operatorEntryOf } from '../runner/src/state/keys.ts';
import { ROLES } from '../src/protocol.ts';
import { load, type Target } from './load.ts';
import { CALLED, SECRET, writePolicies } from './policies.ts';
import { startWorker, type Worker, type WorkerSource } from './workerd.ts';

/** Keywarden built for some policies: what is needed to start it, on any storage. */
export interface Built {
  readonly code: string;
  readonly capabilities: readonly string[];
}

export interface Keywarden extends Worker {
  readonly target: Target;
  /** Rows in D1. */
  readonly rows: () => Promise<number>;
  /** A request to its own API, as an operator with every role. */
  readonly operate: (path: string) => Promise<Response>;
}

/** One set of keys for all: a token minted at one is good at every other. */
const operatorKey = makeOperatorKey();
const keys = {
  signing: JSON.stringify(makeSigningKey()),
  operators: JSON.stringify([operatorEntryOf(operatorKey, 'bench', ROLES)]),
};
const ISSUER = 'https://keywarden.localhost';
const NAME = 'keywarden';

/**
 * Generates the policies, compiles them and bundles the Worker, as `npm run build` and `wrangler` do.
 *
 * @param entry  the Worker's entry file, if it is another tree's.
 */
export async function build(directory: string, origin: string, operations: number, entry?: string): Promise<Built> {
  const policies = writePolicies(join(directory, `policies-${operations}`), origin, operations);
  const bundle = await compileDirectory(policies.directory, { allowLoopbackHttp: true });
  const services = Object.values(bundle.services);
  const count = services.flatMap((s) => s.capabilities.flatMap((c) => c.allow)).length;
  if (count !== operations) throw new Error(`the policies have ${count} operations instead of ${operations}`);
  return { code: await bundleWorker(JSON.stringify(bundle), entry), capabilities: policies.capabilities };
}

/** Starts Keywarden in a workerd of its own. */
export async function startKeywarden(
  built: Built,
  storage: string,
  more: Pick<WorkerSource, 'inspectorPort'> = {},
): Promise<Keywarden> {
  const settings = readWorkerSettings();
  const env: Record<string, WorkerSource['env'][string]> = {};
  const texts = {
    ...settings.vars,
    KEYWARDEN_ISSUER: ISSUER,
    KEYWARDEN_AUDIENCE: ISSUER,
    KEYWARDEN_SIGNING_KEY: keys.signing,
    KEYWARDEN_OPERATORS: keys.operators,
    KEYWARDEN_MODE: 'dev',
    [SECRET.name]: SECRET.value,
  };
  for (const [name, value] of Object.entries(texts)) env[name] = { type: 'text', value };
  for (const [name, exportName] of Object.entries(settings.durableObjects))
    env[name] = { type: 'durable-object', worker: NAME, exportName };
  for (const { binding } of settings.databases) env[binding] = { type: 'd1', id: `keywarden-${binding}` };
  mkdirSync(storage, { recursive: true });
  const worker = await startWorker({
    name: NAME,
    code: built.code,
    env,
    exports: Object.fromEntries(
      Object.values(settings.durableObjects).map((name) => [name, { type: 'durable-object', storage: 'sqlite' }]),
    ),
    storage,
    ...more,
  });
  try {
    for (const { binding, migrations, migrationsTable } of settings.databases) {
      await applyMigrations(await worker.miniflare.getD1Database(binding), migrations, migrationsTable);
    }
    await awaitHealth(worker.url);
    const token = await mint(worker.url, built.capabilities);
    return {
      ...worker,
      target: { url: `${worker.url}/proxy/bench${CALLED.path}`, headers: { authorization: `Bearer ${token}` } },
      rows: () => rowsIn(worker.miniflare),
      operate: (path) => fetch(`${worker.url}${path}`, { headers: { authorization: `Bearer ${operatorKey}` } }),
    };
  } catch (error) {
    await worker.stop();
    throw error;
  }
}

async function mint(url: string, capabilities: readonly string[]): Promise<string> {
  const response = await fetch(`${url}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${operatorKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ agent_id: 'bench-agent', capabilities, ttl_seconds: 14_400 }),
  });
  if (!response.ok) throw new Error(`no token: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { token: string }).token;
}

async function rowsIn(miniflare: Miniflare): Promise<number> {
  const db = await miniflare.getD1Database('DB');
  const row = await db.prepare('SELECT COUNT(*) AS n FROM audit').first<{ n: number }>();
  return row?.n ?? 0;
}

/**
 * Makes a storage directory whose D1 holds about `rows` audit rows, each made by a real call that went the whole way;
 * waits until the ledger has handed all of them over.
 *
 * @returns the rows that are there.
 */
export async function fillStorage(built: Built, storage: string, rows: number): Promise<number> {
  const keywarden = await startKeywarden(built, storage);
  try {
    if (rows < 1_000) {
      for (let i = 0; i < rows / 2; i++)
        await (await fetch(keywarden.target.url, { headers: keywarden.target.headers })).arrayBuffer();
    } else {
      let sent = 0;
      while (sent * 2 < rows) sent += (await load(keywarden.target, 16, 2)).requests;
    }
    return await settledRows(keywarden, rows);
  } finally {
    await keywarden.stop();
  }
}

/** Waits until the number of rows in D1 stands still for two seconds, and is what was expected. */
async function settledRows(keywarden: Keywarden, expected: number): Promise<number> {
  let last = -1;
  let still = 0;
  for (let i = 0; i < 240; i++) {
    const now = await keywarden.rows();
    still = now === last ? still + 1 : 0;
    last = now;
    if (now >= expected && still >= 8) return now;
    await sleep(250);
  }
  throw new Error(`only ${last} of ${expected} rows came to D1 within a minute`);
}

/** A copy, so that each round begins with the same rows. */
export function copyStorage(from: string, to: string): string {
  cpSync(from, to, { recursive: true });
  return to;
}
