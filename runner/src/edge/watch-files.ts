import { existsSync, type FSWatcher, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/**
 * Calls `changed` shortly after any of the paths changed; never twice at the same time.
 * Files are watched through their directory, since editors replace them.
 *
 * @param paths  Asked again after each change: there may be new folders.
 */
export function watchFiles(paths: () => readonly string[], changed: () => Promise<void>, quietMs = 100): () => void {
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
        watchNew();
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
  const watchers = new Map<string, FSWatcher>();
  const watchNew = (): void => {
    for (const [path, watcher] of watchers) {
      if (existsSync(path)) continue;
      watcher.close();
      watchers.delete(path);
    }
    for (const path of paths()) if (!watchers.has(path)) watchers.set(path, watcherOf(path, poke));
  };
  watchNew();
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers.values()) watcher.close();
  };
}

function watcherOf(path: string, poke: () => void): FSWatcher {
  const directory = isDirectory(path);
  const watcher = watch(directory ? path : dirname(path), (_event, name) => {
    if (directory || name === null || name === basename(path)) poke();
  });
  return watcher.on('error', () => {});
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
