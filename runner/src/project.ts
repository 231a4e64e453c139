import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The runner's own folder. It is directly above this file, and above the bundle in dist/ as well. */
const PACKAGE = fileURLToPath(new URL('../', import.meta.url));

export const inPackage = (...path: string[]): string => join(PACKAGE, ...path);

/** As published there is no project around the package; `edge/` has what a local edge needs of one (scripts/package.ts). */
const IS_PUBLISHED = !existsSync(inPackage('src/project.ts'));

/** Where the Worker's wrangler.toml, policies/ and migrations/ are: the root above runner/. */
const PROJECT_ROOT = inPackage(IS_PUBLISHED ? 'edge/' : '../');

export const inProject = (...path: string[]): string => join(PROJECT_ROOT, ...path);

/** The Worker's entry file; as published, all of it but the policies. */
export const WORKER = inProject(IS_PUBLISHED ? 'worker.js' : 'src/index.ts');
