import { type FSWatcher, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/**
 * Calls `changed` shortly after any of the paths changed; never twice at the same time.
 * Files are watched through their directory, since editors replace them.
 */
export function watchFiles(paths: readonly string[], changed: () => Promise<void>, quietMs = 100): () => void {
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  let again = false;
  const run = async (): Promise<void> => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      do {
        again = false;
        await changed();
      } while (again);
    } finally {
      running = false;
    }
  };
  const poke = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void run(), quietMs);
  };
  const watchers: FSWatcher[] = paths.map((path) => {
    const directory = isDirectory(path);
    return watch(directory ? path : dirname(path), (_event, name) => {
      if (directory || name === null || name === basename(path)) poke();
    });
  });
  for (const watcher of watchers) watcher.on('error', () => {});
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
