import { statSync } from 'node:fs';
import { join } from 'node:path';
import { hasLock } from '../state/lock.ts';
import { codeOf } from '../state/private-file.ts';
import type { StateDirectory } from '../state/state-directory.ts';

const EVERY_MS = 500;

/**
 * Tells once when the state directory is not the one any more that workerd has open: removed, moved away, or a backup put in its
 * place. workerd notices nothing: it goes on in files that nobody will find again, and so in calls without a record.
 *
 * @returns what ends the watch.
 */
export function watchState(state: StateDirectory, lost: () => void): () => void {
  const folders = [state.storage, join(state.storage, 'd1'), join(state.storage, 'do')];
  const before = folders.map(identityOf);
  const timer = setInterval(() => {
    const same = folders.every((folder, index) => [before[index], UNKNOWN].includes(identityOf(folder)));
    if (same && hasLock(state.lockFile)) return;
    clearInterval(timer);
    lost();
  }, EVERY_MS).unref();
  return () => clearInterval(timer);
}

const UNKNOWN = 'unknown';

function identityOf(folder: string): string {
  try {
    const { dev, ino } = statSync(folder, { bigint: true });
    return `${dev}:${ino}`;
  } catch (error) {
    // A disk that does not answer for a moment has lost nothing.
    return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR' ? 'gone' : UNKNOWN;
  }
}
