import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../failure.ts';

/** The part of D1 that migrations need. */
export interface Database {
  prepare(query: string): { bind(...values: unknown[]): Statement } & Statement;
  batch(statements: Statement[]): Promise<unknown>;
}
interface Statement {
  all(): Promise<{ results: Record<string, unknown>[] }>;
  run(): Promise<unknown>;
}

/**
 * Applies the migrations that the database has not seen, in the order of their names, each in one transaction
 * together with the note that it was applied. The table is wrangler's own, so that
 * `wrangler d1 migrations` and this agree about what is applied.
 *
 * @returns the names applied now.
 */
export async function applyMigrations(db: Database, directory: string, table = 'd1_migrations'): Promise<string[]> {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(table)) throw new Failure(`${table} is no name of a table`);
  await db
    .prepare(
      `CREATE TABLE IF NOT EXISTS ${table}(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, ` +
        'applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)',
    )
    .run();
  const applied = new Set((await db.prepare(`SELECT name FROM ${table}`).all()).results.map((row) => row['name']));
  const fresh = migrationsIn(directory).filter((name) => !applied.has(name));
  for (const name of fresh) {
    const statements = statementsOf(readFileSync(join(directory, name), 'utf8')).map((sql) => db.prepare(sql));
    try {
      await db.batch([...statements, db.prepare(`INSERT INTO ${table} (name) VALUES (?)`).bind(name)]);
    } catch (error) {
      throw new Failure(
        `the migration ${name} fails: ${(error as Error).message}`,
        'the local database is of another version: use a new --state DIR',
      );
    }
  }
  return fresh;
}

function migrationsIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith('.sql'))
      .sort();
  } catch {
    return [];
  }
}

/** Drizzle marks the ends of statements; SQL of other make is one statement a file, or `;` at the end of a line. */
function statementsOf(sql: string): string[] {
  const parts = sql.includes('--> statement-breakpoint')
    ? sql.split('--> statement-breakpoint')
    : sql.split(/;[ \t]*$/m);
  return parts.filter((part) => part.replace(/--.*$/gm, '').trim() !== '');
}
