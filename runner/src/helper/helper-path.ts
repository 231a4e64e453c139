import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Failure } from '../failure.ts';
import { inPackage } from '../project.ts';
import { CREDENTIAL_PATHS, parseCredentialPaths } from './credential-list.ts';
import { systemCalls } from './system-calls.ts';
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
  const machine = process.arch === 'arm64' ? 'arm64' : 'x64';
  return tablesOf(systemCalls(), parseCredentialPaths(await readFile(CREDENTIAL_PATHS, 'utf8')), machine);
}

async function built(): Promise<string> {
  const tables = await helperTables();
  const sources = (await readdir(join(HELPER, 'src'))).filter((name) => /\.[ch]$/.test(name)).sort();
  const digest = createHash('sha256').update(FLAGS.join(' ')).update(tables);
  for (const name of sources) digest.update(name).update(await readFile(join(HELPER, 'src', name)));
  // The folder tells what it was built from: nothing is compared by time, and a running one is never overwritten.
  const folder = join(HELPER, 'build', digest.digest('hex').slice(0, 16));
  const target = join(folder, 'keywarden-helper');
  if (await isThere(target)) return target;
  await mkdir(folder, { recursive: true });
  const fresh = `${target}.${process.pid}`;
  const files = sources.filter((name) => name.endsWith('.c')).map((name) => join(HELPER, 'src', name));
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

const isThere = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
