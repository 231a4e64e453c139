import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { Failure } from '../failure.ts';
import { inProject } from '../project.ts';

/** What local and production must have in common, read from wrangler.toml alone. */
export interface WorkerSettings {
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  /** Durable Objects: binding → class. All of them are SQLite-backed. */
  readonly durableObjects: Readonly<Record<string, string>>;
  /** D1 bindings, with where their migrations are. */
  readonly databases: readonly {
    readonly binding: string;
    readonly migrations: string;
    readonly migrationsTable: string;
  }[];
  readonly vars: Readonly<Record<string, string>>;
  /** When the Worker's scheduled handler runs. */
  readonly crons: readonly string[];
  /** The console's built files; null when they were not built. */
  readonly assets: { readonly binding: string; readonly directory: string } | null;
}

interface WranglerToml {
  compatibility_date?: string | Date;
  compatibility_flags?: string[];
  durable_objects?: { bindings?: { name: string; class_name: string }[] };
  d1_databases?: { binding: string; migrations_dir?: string; migrations_table?: string }[];
  vars?: Record<string, unknown>;
  triggers?: { crons?: string[] };
  assets?: { directory: string; binding?: string };
}

/** @throws Failure when the file is missing, unreadable as TOML, or without a compatibility date. */
export function readWorkerSettings(file: string = inProject('wrangler.toml')): WorkerSettings {
  let toml: WranglerToml;
  try {
    toml = parse(readFileSync(file, 'utf8')) as WranglerToml;
  } catch (error) {
    throw new Failure(`cannot read ${file}: ${(error as Error).message}`);
  }
  const date = toml.compatibility_date;
  if (date === undefined) throw new Failure(`${file} names no compatibility_date`);
  return {
    compatibilityDate: typeof date === 'string' ? date : date.toISOString().slice(0, 10),
    compatibilityFlags: toml.compatibility_flags ?? [],
    durableObjects: Object.fromEntries((toml.durable_objects?.bindings ?? []).map((b) => [b.name, b.class_name])),
    databases: (toml.d1_databases ?? []).map((d) => ({
      binding: d.binding,
      migrations: inProject(d.migrations_dir ?? 'migrations'),
      migrationsTable: d.migrations_table ?? 'd1_migrations',
    })),
    vars: Object.fromEntries(
      Object.entries(toml.vars ?? {}).filter((e): e is [string, string] => typeof e[1] === 'string'),
    ),
    crons: toml.triggers?.crons ?? [],
    assets: assetsIn(toml),
  };
}

/** A checkout without `npm run build` serves everything but the console. */
function assetsIn({ assets }: WranglerToml): WorkerSettings['assets'] {
  if (assets?.binding === undefined) return null;
  const directory = inProject(assets.directory);
  return existsSync(directory) ? { binding: assets.binding, directory } : null;
}
