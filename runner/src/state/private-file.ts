import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Failure } from '../failure.ts';

/**
 * Reads a file that holds a secret. Refuses one that others could read or write (as ssh does with private keys).
 *
 * @returns its text, or null when there is no such file.
 * @throws Failure when it is not private, or cannot be read.
 */
export function readPrivateFile(path: string): string | null {
  let fd: number;
  try {
    fd = openRegular(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null;
    throw new Failure(
      `cannot read ${path}: ${(error as Error).message}`,
      `it must be readable by you: chmod 600 ${path}`,
    );
  }
  try {
    const { mode, uid } = fstatSync(fd);
    if ((mode & 0o077) !== 0) {
      throw new Failure(`${path} is open to others (mode ${octal(mode)})`, [
        `chmod 600 ${path}`,
        'if others may have read it, delete it: keywarden dev makes a new one',
      ]);
    }
    const self = process.getuid?.();
    if (self !== undefined && self !== 0 && uid !== self)
      throw new Failure(`${path} belongs to another user`, `chown it, or use another --state DIR`);
    return readFileSync(fd, 'utf8');
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`cannot read ${path}: ${(error as Error).message}`, 'move it away, or use another --state DIR');
  } finally {
    closeSync(fd);
  }
}

/**
 * Opens a file of ours to be read. In its place may stand what would keep us for ever: a pipe until somebody writes, a device
 * without an end.
 */
function openRegular(path: string): number {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new Error('it is no file');
}

/** The text of a file of ours, by `openRegular`. */
export function readRegular(path: string): string {
  const fd = openRegular(path);
  try {
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** Writes a file of mode 0600 so that it is whole or absent, never half. */
export function writePrivateFile(path: string, text: string): void {
  const draft = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  const fd = openSync(draft, 'wx', 0o600);
  try {
    fchmodSync(fd, 0o600);
    // All of it or an error: one write alone takes as much as there is room for, and says so only by a number.
    writeFileSync(fd, text);
    fsyncSync(fd);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  } finally {
    closeSync(fd);
  }
  renameSync(draft, path);
}

/**
 * Makes a directory that only its owner may enter; takes the others' rights from one that is ours already, or empty. Any other
 * that is open to others is refused: who names /tmp by mistake must not find it closed.
 */
export function openPrivateDirectory(path: string): void {
  try {
    makeFolders(path);
    if ((statSync(path).mode & 0o077) === 0) return;
    const inside = readdirSync(path);
    if (inside.length > 0 && !inside.some((name) => OURS.has(name)))
      throw new Error('it is open to others and holds what is not of keywarden');
    chmodSync(path, 0o700);
  } catch (error) {
    throw new Failure(
      `cannot use the state directory ${path}: ${(error as Error).message}`,
      'name another, or a new one, with --state DIR',
    );
  }
}

/** Something of it is in every directory of ours that is not empty. */
const OURS: ReadonlySet<string> = new Set([
  'operator.key',
  'signing.jwk',
  'storage',
  'sessions',
  'receipts',
  'demo',
  'images',
  // Of `storage`: workerd's.
  'd1',
  'do',
  'cache',
]);

/** Step by step: Node's recursive mkdir never ends where nothing can be made and the answer is ENOENT, as under /proc. */
function makeFolders(path: string): void {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.unshift(at);
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
  }
  if (!statSync(path).isDirectory()) throw new Error('it is no directory');
}

export const octal = (mode: number): string => (mode & 0o777).toString(8).padStart(4, '0');

export const codeOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined;

/** What to do about a place of ours in which something cannot be written. */
export const mendOfPlace = (error: unknown): string =>
  ['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '')
    ? 'make room on its disk, or name another place: --state DIR'
    : 'it must be yours to write to; or name another place: --state DIR';
