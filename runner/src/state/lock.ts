import { linkSync, lstatSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Failure } from '../failure.ts';
import { codeOf, readRegular } from './private-file.ts';
import { isRunning, pidNamespace, startTimeOf } from './process-identity.ts';

/** As it stands in the file. A lease's holder (`session/holder.ts`) has another form: both lie on disks already. */
interface LockHolder {
  readonly pid: number;
  /** Start time of that process as the kernel tells it, or null where it does not. */
  readonly start: string | null;
  /** The inode of the folder of the lock: in a copy of the folder stands a copy of the lock, which locks nothing. */
  readonly folder?: string | null;
  /** The pid namespace in which the pid is one. */
  readonly pids?: string;
}

function ourselves(file: string): LockHolder {
  return { pid: process.pid, start: startTimeOf(process.pid), folder: folderOf(file), pids: pidNamespace() };
}

const folderOf = (file: string): string | null =>
  statSync(dirname(file), { bigint: true, throwIfNoEntry: false })?.ino.toString() ?? null;

/**
 * Takes a lock file for this process. The holder is known by pid *and* start time, so that neither a crash nor a
 * reused pid locks anybody out.
 *
 * @returns the function that gives the lock back.
 * @throws Failure naming the holder when it lives.
 */
export function takeLock(file: string): () => void {
  const mine = JSON.stringify(ourselves(file));
  const draft = `${file}.${process.pid}`;
  try {
    writeFileSync(draft, mine, { mode: 0o600 });
    for (let attempt = 0; attempt < 5; attempt += 1) {
      try {
        linkSync(draft, file);
        return () => giveBack(file, mine);
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
      removeIfStale(file);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  throw new Failure(`cannot take the lock ${file}`, 'others start here at the same moment; try again');
}

function removeIfStale(file: string): void {
  const text = readOrNull(file);
  if (text === null && isFileOrGone(file)) return;
  const holder = text === null ? null : holderOf(text);
  if (holder !== null && lives(holder, file)) {
    throw new Failure(`another keywarden dev (pid ${holder.pid}) already serves this state directory`, [
      `end it (kill ${holder.pid}), or give this one its own: --state DIR`,
    ]);
  }
  // Moved aside first, so that of two that find it stale only one removes it.
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  if (readOrNull(aside) !== text) linkSync(aside, file);
  unlinkSync(aside);
}

function lives({ pid, start, folder }: LockHolder, file: string): boolean {
  if (folder !== undefined && folder !== folderOf(file)) return false;
  return isRunning(pid, start);
}

/** Whether this process has the lock, in the very folder in which it took it. */
export const hasLock = (file: string): boolean => readOrNull(file) === JSON.stringify(ourselves(file));

/** The pid of who left the lock behind without giving it back; null where that is not so, or cannot be told from here. */
export function leftBehindBy(file: string): number | null {
  const text = readOrNull(file);
  const holder = text === null ? null : holderOf(text);
  if (holder === null || holder.pids === undefined || holder.pids !== pidNamespace()) return null;
  return lives(holder, file) ? null : holder.pid;
}

/** What is no file at all was laid by nobody of us, and holds nothing. */
const isFileOrGone = (file: string): boolean => lstatSync(file, { throwIfNoEntry: false })?.isFile() ?? true;

function giveBack(file: string, mine: string): void {
  if (readOrNull(file) === mine) unlinkSync(file);
}

function readOrNull(file: string): string | null {
  try {
    return readRegular(file);
  } catch {
    return null;
  }
}

function holderOf(text: string): LockHolder | null {
  try {
    const holder = JSON.parse(text) as LockHolder;
    return Number.isInteger(holder.pid) ? holder : null;
  } catch {
    return null;
  }
}
