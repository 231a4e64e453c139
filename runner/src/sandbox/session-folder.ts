import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../failure.ts';
import type { Leftover } from './backend.ts';

const MOUNTS = '/proc/self/mountinfo';

/** Removes all that is in the folder, unless something is mounted there: then to remove would reach through, into what is not ours. */
export function emptyFolder(folder: string): void {
  const mounted = mountsBelow(folder);
  if (mounted.length > 0) {
    throw new Failure(
      `something is mounted in a session's folder: ${mounted.join(', ')}`,
      'unmount it, then sweep again',
    );
  }
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) chmodSync(path, 0o700);
    rmSync(path, { recursive: true, force: true });
  }
}

export function filesIn(folder: string): Leftover[] {
  return namesIn(folder).map((name) => {
    const path = join(folder, name);
    return { kind: lstatSync(path, { throwIfNoEntry: false })?.isSocket() ? 'socket' : 'file', name: path };
  });
}

/** What is mounted at the folder or in it, in this process's namespace; a host that is no Linux has no such table. */
export function mountsBelow(folder: string): string[] {
  if (!existsSync(MOUNTS)) return [];
  return readFileSync(MOUNTS, 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((path) => path.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8))))
    .filter((path) => path === folder || path.startsWith(`${folder}/`));
}

/** A link is not followed: what it points to is not the session's. */
function namesIn(folder: string): string[] {
  try {
    return lstatSync(folder).isDirectory() ? readdirSync(folder) : [];
  } catch {
    return [];
  }
}
