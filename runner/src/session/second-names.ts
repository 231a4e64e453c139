import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Folders below the one that is listed; a browser keeps its cookies in `Default/Network`. */
const DEPTH = 3;
/** Of one place: a browser has many thousands of files beside. */
const MOST_FILES = 20_000;

export interface SecondName {
  readonly name: string;
  /** The credential that it is a name of. */
  readonly of: string;
}

/**
 * Another name of a credential's file (link(2)) in what is to be mounted: the agent would read the file there, and no path would
 * tell what it is (threat B16). Only a file that has several names can have one there, so that mostly nothing is searched.
 *
 * @param source  A folder or a file in which none of `places` lies.
 * @param places  Files and folders of credentials, links resolved; those that are not there, or not ours to read, are passed over.
 */
export function secondNameIn(source: string, places: readonly string[]): SecondName | null {
  const linked = new Map<string, string>();
  const device = statsOf(source)?.dev;
  for (const place of places) {
    let left = MOST_FILES;
    for (const [path, stats] of filesIn(place, DEPTH)) {
      if (stats.nlink > 1n && stats.dev === device) linked.set(keyOf(stats), path);
      if (--left === 0) break;
    }
  }
  if (linked.size === 0) return null;
  for (const [name, stats] of filesIn(source, Number.POSITIVE_INFINITY)) {
    const of = stats.nlink > 1n ? linked.get(keyOf(stats)) : undefined;
    if (of !== undefined) return { name, of };
  }
  return null;
}

const keyOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;

/** Regular files, links not followed. */
function* filesIn(path: string, depth: number): Generator<[string, BigIntStats]> {
  const stats = statsOf(path);
  if (stats?.isFile()) yield [path, stats];
  if (!stats?.isDirectory() || depth < 0) return;
  for (const name of namesIn(path)) yield* filesIn(join(path, name), depth - 1);
}

function statsOf(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
