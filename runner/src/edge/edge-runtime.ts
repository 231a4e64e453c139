import { statfsSync } from 'node:fs';
import { Miniflare, type MiniflareOptions } from 'miniflare';
import { counted } from '../counted.ts';
import { Failure } from '../failure.ts';
import { buildConsole } from './console-files.ts';
import type { EdgePlan } from './edge-plan.ts';
import { awaitHealth } from './health.ts';
import { applyMigrations, type Database } from './migrations.ts';
import { bundleWorker } from './worker-bundle.ts';
import { readWorkerSettings, type WorkerSettings } from './worker-settings.ts';
import { workerdLine } from './workerd-log.ts';
import { WorkerdWatch } from './workerd-process.ts';

export interface RuntimeOptions {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly storage: string;
  readonly say: (line: string) => void;
}

/** workerd with the Worker in it: started, reloaded and stopped as one thing. */
export class EdgeRuntime {
  readonly #options: RuntimeOptions;
  readonly #settings: WorkerSettings;
  readonly #watch: WorkerdWatch;
  readonly died: Promise<string>;
  #miniflare: Miniflare | null = null;
  #plan: EdgePlan | null = null;
  /** What SQLite last complained of in workerd's log: the error that reaches us is often an `internal error`. */
  #complaint: string | null = null;
  /** While it is set, an end of workerd is what we asked for. */
  #changing = true;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    buildConsole(options.say);
    this.#settings = readWorkerSettings();
    const { promise, resolve } = Promise.withResolvers<string>();
    this.died = promise;
    this.#watch = new WorkerdWatch((child) => {
      if (this.#changing) return;
      const end = child.signalCode === null ? `with code ${child.exitCode}` : `by ${child.signalCode}`;
      // Ctrl-C reaches workerd as well as us: leave our own signal handler the time to say that it was wanted.
      setTimeout(() => this.#changing || resolve(`workerd ended unexpectedly ${end}`), 100);
    });
  }

  get workerdPid(): number | null {
    return this.#watch.pid;
  }

  async start(plan: EdgePlan): Promise<void> {
    const options = await this.#optionsFor(plan);
    this.#miniflare = withoutItsSignalHandlers(() => new Miniflare(options));
    await this.#serve(() => this.#miniflare?.ready);
    await this.#migrate();
    await awaitHealth(this.#options.url);
    this.#plan = plan;
    this.#changing = false;
  }

  /** In-flight calls end; their intents are in the ledger. A plan that the Worker refuses gives way to the one before. */
  async reload(plan: EdgePlan): Promise<void> {
    const before = this.#plan;
    try {
      await this.#put(plan);
    } catch (error) {
      if (before !== null) await this.#put(before);
      throw error;
    }
  }

  async #put(plan: EdgePlan): Promise<void> {
    const options = await this.#optionsFor(plan);
    this.#changing = true;
    await this.#serve(() => this.#miniflare?.setOptions(options));
    await awaitHealth(this.#options.url);
    this.#plan = plan;
    this.#changing = false;
  }

  get crons(): readonly string[] {
    return this.#settings.crons;
  }

  /** Runs the Worker's scheduled handler, as the platform does in production. */
  async runScheduled(cron: string, at: Date): Promise<void> {
    if (this.#changing) return;
    const worker = await this.#miniflare?.getWorker('keywarden');
    await worker?.scheduled({ cron, scheduledTime: at });
  }

  async stop(): Promise<void> {
    this.#changing = true;
    // It rejects once more with what kept it from starting, which was told before.
    await this.#miniflare?.dispose().catch(() => undefined);
    this.#watch.stop();
  }

  async #serve(begin: () => Promise<unknown> | undefined): Promise<void> {
    try {
      await begin();
    } catch (error) {
      const { message } = error as Error;
      const ofStorage = complaintIn(message);
      if (ofStorage !== null) throw this.#unreadable(ofStorage);
      throw new Failure(`workerd does not start: ${message}`, 'keywarden doctor tells what this machine lacks');
    }
  }

  async #migrate(): Promise<void> {
    for (const database of this.#settings.databases) {
      const db = await this.#miniflare?.getD1Database(database.binding);
      const applied = await applyMigrations(
        db as unknown as Database,
        database.migrations,
        database.migrationsTable,
      ).catch((error: unknown) => {
        throw error instanceof Failure ? error : this.#unreadable((error as Error).message);
      });
      if (applied.length > 0)
        this.#options.say(`applied ${counted(applied.length, 'migration')} to ${database.binding}`);
    }
  }

  /** D1 tells no more than `internal error` about a damaged file. */
  #unreadable(why: string): Failure {
    const { storage } = this.#options;
    if (complaintIn(why) === 'SQLITE_FULL' || this.#complaint === 'SQLITE_FULL' || isFull(storage))
      return new Failure(`the local database in ${storage} cannot be written: its disk is full`, [
        'make room there, or name another place: --state DIR',
      ]);
    return new Failure(`the local database in ${storage} cannot be read: ${why}`, [
      // All of it: ledgers without the database that they were written to would not fit the new one.
      `if it is damaged, move it away: mv ${storage} ${storage}.damaged; a new one is made at the next start, and the keys stay`,
    ]);
  }

  async #optionsFor(plan: EdgePlan): Promise<MiniflareOptions> {
    const { host, port, storage, say } = this.#options;
    const settings = this.#settings;
    return {
      // Miniflare's own door stays shut to others and unused: only the direct socket below passes a request's target
      // to the Worker as it came, `/a/../b` and all.
      host: '127.0.0.1',
      port: 0,
      cf: false,
      logRequests: false,
      telemetry: { enabled: false },
      // It would write of this edge into the home, and open workerd's debug port: a way to D1 and the ledgers past the Worker.
      enableDevRegistry: false,
      resourcePersistencePath: storage,
      isolatedResourcePersistencePath: storage,
      handleStructuredLogs: ({ message, level }) => {
        this.#complaint = complaintIn(message) ?? this.#complaint;
        say(`worker ${level}: ${workerdLine(message)}`);
      },
      workers: [
        {
          config: {
            name: 'keywarden',
            compatibilityDate: settings.compatibilityDate,
            compatibilityFlags: [...settings.compatibilityFlags],
            manifest: {
              mainModule: 'index.js',
              modules: { 'index.js': { type: 'esm', contents: await bundleWorker(plan.policies) } },
            },
            env: environmentOf(settings, plan),
            exports: Object.fromEntries(
              Object.values(settings.durableObjects).map((name) => [
                name,
                { type: 'durable-object' as const, storage: 'sqlite' as const },
              ]),
            ),
          },
          dev: {
            unsafeDirectSockets: [{ host, port }],
            // True would also send `CF-Worker` to the upstreams.
            stripCfConnectingIp: false,
          },
        },
        ...consoleWorker(settings),
      ],
    };
  }
}

const complaintIn = (text: string): string | null => /SQLITE_\w+/.exec(text)?.[0] ?? null;

/** SQLite does not always say it of itself: a page of its shared memory that finds no room is an input/output error. */
function isFull(folder: string): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize < 64 * 1024;
}

/**
 * The console's files, as a Worker of their own: beside the edge's Worker they would put a router before it, which tidies up
 * a request's target before the policy sees it.
 */
function consoleWorker({ assets, compatibilityDate }: WorkerSettings): MiniflareOptions['workers'] {
  if (assets === null) return [];
  const contents = 'export default { fetch: (request, env) => env.ASSETS.fetch(request) };';
  return [
    {
      config: {
        name: 'console',
        compatibilityDate,
        manifest: { mainModule: 'index.js', modules: { 'index.js': { type: 'esm', contents } } },
        env: { ASSETS: { type: 'assets' } },
        assets: {
          directory: assets.directory,
          htmlHandling: 'none',
          notFoundHandling: 'none',
          runWorkerFirst: true,
          hasUserWorker: true,
        },
      },
    },
  ];
}

type WorkerEnvironment = NonNullable<NonNullable<MiniflareOptions['workers'][number]['config']>['env']>;

function environmentOf(settings: WorkerSettings, plan: EdgePlan): WorkerEnvironment {
  const env: WorkerEnvironment = {};
  for (const [name, value] of Object.entries({ ...settings.vars, ...plan.bindings }))
    env[name] = { type: 'text', value };
  for (const [name, className] of Object.entries(settings.durableObjects)) {
    env[name] = { type: 'durable-object', worker: 'keywarden', exportName: className };
  }
  // Not the id of wrangler.toml: another account's id there must not lose the local rows.
  for (const { binding } of settings.databases) env[binding] = { type: 'd1', id: `keywarden-${binding}` };
  if (settings.assets !== null) env[settings.assets.binding] = { type: 'worker', worker: 'console' };
  return env;
}

/** Miniflare exits the process on signals, at once and with its own code; here the command decides how it ends. */
function withoutItsSignalHandlers<T>(make: () => T): T {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const before = new Map(signals.map((signal) => [signal, new Set(process.listeners(signal))]));
  const made = make();
  for (const signal of signals) {
    for (const listener of process.listeners(signal)) {
      if (!before.get(signal)?.has(listener)) process.removeListener(signal, listener);
    }
  }
  return made;
}
