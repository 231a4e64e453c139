import { type FSWatcher, realpathSync, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { Failure } from '../failure.ts';

/**
 * Calls `changed` shortly after any of the paths changed, went or came back; never twice at the same time.
 * Each is watched through the folder that holds it, since editors and checkouts replace what they write, and a folder from
 * within as well; of a link, what it leads to, too.
 *
 * @param paths  Asked again after each change: there may be new folders. One that is gone for now should still be named.
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
    const wanted = new Map(
      paths()
        .flatMap((path) => [path, realOf(path)].flatMap(placesOf))
        .map((one) => [one.key, one]),
    );
    for (const [key, watcher] of watchers) {
      if (wanted.has(key)) continue;
      watcher.close();
      watchers.delete(key);
    }
    for (const [key, place] of wanted) {
      if (watchers.has(key)) continue;
      const watcher = watcherOf(place, poke);
      if (watcher !== null) watchers.set(key, watcher);
    }
  };
  watchNew();
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers.values()) watcher.close();
  };
}

/** A folder that is there, and which of its entries count; null: all of them. */
interface Place {
  readonly folder: string;
  readonly entry: string | null;
  /** With the folder's identity: a watcher stays with the folder that was there, not with one of the same name. */
  readonly key: string;
}

function placesOf(path: string): Place[] {
  const within = placeOf(path, null);
  const from = placeOf(dirname(path), basename(path));
  return [within, from].filter((place) => place !== null);
}

function placeOf(folder: string, entry: string | null): Place | null {
  const stat = statSync(folder, { throwIfNoEntry: false, bigint: true });
  if (stat?.isDirectory() !== true) return null;
  // The number alone may be given to the next one at once.
  return { folder, entry, key: JSON.stringify([folder, entry, `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`]) };
}

function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function watcherOf({ folder, entry }: Place, poke: () => void): FSWatcher | null {
  try {
    const watcher = watch(folder, (_event, name) => {
      if (entry === null || name === null || name === entry) poke();
    });
    return watcher.on('error', () => {});
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // Gone in the meantime: its own folder tells when it is back.
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    // To be passed through is enough for what lies below; a folder of policies itself has to be readable.
    if (code === 'EACCES' && entry !== null) return null;
    throw new Failure(`cannot watch ${folder}: ${message}`, 'raise fs.inotify.max_user_watches, or give --no-watch');
  }
}
