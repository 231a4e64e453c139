import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { Failure } from '../failure.ts';
import { inPackage } from '../project.ts';
import { CREDENTIAL_PATHS, parseCredentialPaths } from './credential-list.ts';
import { machineOf, systemCalls } from './system-calls.ts';
import { tablesOf } from './tables.ts';

const HELPER = inPackage('helper');
const FLAGS = ['-std=gnu11', '-O2', '-static', '-pthread', '-Wall', '-Wextra', '-Werror', '-I', join(HELPER, 'src')];

let known: Promise<string> | null = null;

/**
 * Path of `keywarden-helper`, built from its sources and its data when they changed. Two processes may build at once: each
 * makes its own files, and the last one takes the place.
 *
 * @throws {Failure} without a compiler, or when the sources do not compile.
 */
export function helperPath(): Promise<string> {
  known ??= built().catch((error) => {
    known = null;
    throw error;
  });
  return known;
}

/** The helper's data as the C source that it is built with. */
export async function helperTables(): Promise<string> {
  return tablesOf(systemCalls(), parseCredentialPaths(await readFile(CREDENTIAL_PATHS, 'utf8')), machineOf());
}

async function built(): Promise<string> {
  // The folder tells what it was built from: nothing is compared by time, and a running one is never overwritten.
  const folder = join(HELPER, 'build', digestOf(madeFrom()));
  const target = join(folder, 'keywarden-helper');
  if (existsSync(target)) return target;
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new Failure(
      `the sandbox helper cannot be built: ${(error as Error).message}`,
      'keywarden doctor builds it, once, when it is run by whoever may write there',
    );
  }
  const tables = await helperTables();
  const fresh = `${target}.${process.pid}`;
  const files = sourcesIn(join(HELPER, 'src'), '.c');
  try {
    await writeFile(`${fresh}.c`, tables);
    await promisify(execFile)(process.env['CC'] ?? 'cc', [...FLAGS, '-o', fresh, `${fresh}.c`, ...files]);
    await rename(fresh, target);
  } catch (error) {
    await rm(fresh, { force: true });
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT')
      throw new Failure('the sandbox helper cannot be built: there is no C compiler', 'apt-get install gcc libc6-dev');
    throw new Failure(`the sandbox helper does not compile: ${(stderr ?? String(error)).trim().slice(0, 2000)}`, [
      'apt-get install gcc libc6-dev linux-libc-dev',
    ]);
  } finally {
    await rm(`${fresh}.c`, { force: true });
  }
  return target;
}

/**
 * All that has a say in it. The tables are not made only to be hashed, every run would wait for that: their data and the code
 * that makes them are hashed in their place. As published that code is in the bundle, and changes with the version.
 */
const madeFrom = (): string[] => [
  inPackage('package.json'),
  join(HELPER, 'system-calls.txt'),
  join(HELPER, 'credential-paths.txt'),
  ...sourcesIn(inPackage('src/helper'), '.ts'),
  ...sourcesIn(join(HELPER, 'src'), '.c', '.h'),
];

function sourcesIn(folder: string, ...kinds: string[]): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => kinds.some((kind) => name.endsWith(kind)));
  return names.sort().map((name) => join(folder, name));
}

function digestOf(files: readonly string[]): string {
  const digest = createHash('sha256').update([process.arch, ...FLAGS].join(' '));
  for (const file of files) digest.update(`\0${basename(file)}\0`).update(readFileSync(file));
  return digest.digest('hex').slice(0, 16);
}
