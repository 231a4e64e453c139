import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where the Worker's sources, its wrangler.toml, policies/ and migrations/ are: the root above runner/. */
export const PROJECT_ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const inProject = (...path: string[]): string => join(PROJECT_ROOT, ...path);
