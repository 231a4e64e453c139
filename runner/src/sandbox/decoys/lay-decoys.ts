import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DECOYS, PINNED } from './decoy-paths.ts';

/** What to mount under the home, parents first. */
export interface DecoyMounts {
  readonly pinned: readonly string[];
  readonly readOnly: readonly { readonly source: string; readonly path: string }[];
}

const makeCanary = (): string => `kwdecoy${randomBytes(16).toString('hex')}`;

/** The mounts alone, for a plan: nothing is written. */
export function decoyMounts(folder: string): DecoyMounts {
  const tops = new Set(DECOYS.map(({ path }) => topOf(path)));
  return { pinned: PINNED, readOnly: [...tops].map((path) => ({ source: join(folder, path), path })) };
}

/**
 * Writes the decoys. Each file has mode 0000: the kernel itself refuses to open it, whoever races the path (the counter
 * counts the attempt before), and on a read-only mount its owner cannot chmod it back.
 */
export function layDecoys(folder: string, canary: string = makeCanary()): DecoyMounts {
  for (const below of new Set(DECOYS.map(({ path }) => dirname(path)))) {
    mkdirSync(join(folder, below), { recursive: true, mode: 0o755 });
  }
  // A mode counts for who opens later: what is made here can be written to.
  for (const { path, text } of DECOYS) writeFileSync(join(folder, path), text(canary), { flag: 'wx', mode: 0 });
  return decoyMounts(folder);
}

/** The part of a decoy's path that is mounted: below a pinned folder its child, else the first name. */
function topOf(path: string): string {
  const pinned = PINNED.find((pin) => path.startsWith(`${pin}/`));
  const depth = pinned === undefined ? 1 : pinned.split('/').length + 1;
  return path.split('/').slice(0, depth).join('/');
}
