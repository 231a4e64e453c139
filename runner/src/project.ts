import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The runner's own folder. It is directly above this file, and above the bundle in dist/ as well. */
const PACKAGE = fileURLToPath(new URL('../', import.meta.url));

export const inPackage = (...path: string[]): string => join(PACKAGE, ...path);

/**
 * Where the Worker's sources, its wrangler.toml, policies/ and migrations/ are: the root above runner/. As published there is
 * none; edge/ has what a local edge needs of it.
 */
export const PROJECT_ROOT = existsSync(inPackage('src/project.ts')) ? inPackage('../') : inPackage('edge/');

export const inProject = (...path: string[]): string => join(PROJECT_ROOT, ...path);
