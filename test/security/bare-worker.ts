import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Miniflare, type MiniflareOptions } from 'miniflare';
import { applyMigrations } from '../../runner/src/edge/migrations.ts';
import { bundleWorker } from '../../runner/src/edge/worker-bundle.ts';
import { readWorkerSettings } from '../../runner/src/edge/worker-settings.ts';
import { makeOperatorKey, makeSigningKey, operatorEntryOf } from '../../runner/src/state/keys.ts';
import { compilePolicies } from '../../src/policy/compile.ts';
import { ROLES } from '../../src/protocol.ts';
import { freePort, until } from '../support/process.ts';

/** The Worker in workerd as a deploy would leave it, without `keywarden dev`, which would refuse to start it broken. */
export interface BareWorker {
  readonly url: string;
  readonly operatorKey: string;
  readonly db: () => ReturnType<Miniflare['getD1Database']>;
  readonly migrate: () => Promise<void>;
  /** What the Worker logged. */
  readonly logs: () => string;
  readonly stop: () => Promise<void>;
}

/** Text bindings that make the Worker whole; a test takes away or breaks what it wants to. */
function wholeEnvironment(operatorKey: string): Record<string, string> {
  return {
    KEYWARDEN_ISSUER: 'https://keywarden.localhost',
    KEYWARDEN_AUDIENCE: 'https://keywarden.localhost',
    KEYWARDEN_SIGNING_KEY: JSON.stringify(makeSigningKey()),
    KEYWARDEN_OPERATORS: JSON.stringify([operatorEntryOf(operatorKey, 'tester', ROLES)]),
    KEYWARDEN_MODE: 'dev',
  };
}

export async function startBareWorker(
  policies: Readonly<Record<string, string>>,
  change: (env: Record<string, string>) => Record<string, string>,
  { migrated = true } = {},
): Promise<BareWorker> {
  const files = Object.entries(policies).map(([name, text]) => ({ name, text }));
  const bundle = compilePolicies(files, { allowLoopbackHttp: true });
  if (!bundle.ok) throw new Error(JSON.stringify(bundle.error));
  const settings = readWorkerSettings();
  const storage = mkdtempSync(join(tmpdir(), 'keywarden-bare-'));
  const port = await freePort();
  const operatorKey = makeOperatorKey();
  const said: string[] = [];
  const env: NonNullable<NonNullable<MiniflareOptions['workers'][number]['config']>['env']> = {};
  for (const [name, value] of Object.entries(change(wholeEnvironment(operatorKey))))
    env[name] = { type: 'text', value };
  for (const [name, exportName] of Object.entries(settings.durableObjects))
    env[name] = { type: 'durable-object', worker: 'keywarden', exportName };
  for (const { binding } of settings.databases) env[binding] = { type: 'd1', id: binding };
  const miniflare = new Miniflare({
    host: '127.0.0.1',
    port: 0,
    cf: false,
    logRequests: false,
    telemetry: { enabled: false },
    resourcePersistencePath: storage,
    isolatedResourcePersistencePath: storage,
    handleStructuredLogs: ({ message }) => said.push(message),
    workers: [
      {
        config: {
          name: 'keywarden',
          compatibilityDate: settings.compatibilityDate,
          compatibilityFlags: [...settings.compatibilityFlags],
          manifest: {
            mainModule: 'index.js',
            modules: { 'index.js': { type: 'esm', contents: await bundleWorker(JSON.stringify(bundle.value)) } },
          },
          env,
          exports: Object.fromEntries(
            Object.values(settings.durableObjects).map((name) => [
              name,
              { type: 'durable-object' as const, storage: 'sqlite' as const },
            ]),
          ),
        },
        dev: { unsafeDirectSockets: [{ host: '127.0.0.1', port }], stripCfConnectingIp: false },
      },
    ],
  });
  await miniflare.ready;
  const db = () => miniflare.getD1Database('DB');
  const migrate = async (): Promise<void> => {
    for (const { migrations, migrationsTable } of settings.databases)
      await applyMigrations(await db(), migrations, migrationsTable);
  };
  if (migrated) await migrate();
  const url = `http://127.0.0.1:${port}`;
  await until('the Worker to answer', async () =>
    fetch(`${url}/healthz`).then(
      (r) => r.arrayBuffer().then(() => true),
      () => false,
    ),
  );
  return {
    url,
    operatorKey,
    db,
    migrate,
    logs: () => said.join('\n'),
    async stop() {
      await miniflare.dispose();
      rmSync(storage, { recursive: true, force: true });
    },
  };
}
