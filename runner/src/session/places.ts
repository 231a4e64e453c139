import { accessSync, constants, lstatSync, mkdirSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Failure } from '../failure.ts';
import { openPrivateDirectory } from '../state/private-file.ts';
import type { RunnerState } from './runner-state.ts';

/** `sun_path` has room for 107 bytes (unix(7)), and the backend's sockets have names of their own below the folder. */
const MAX_FOLDER_BYTES = 107 - 20;
/** statfs(2): TMPFS_MAGIC. */
const TMPFS = 0x01021994;

const MEND = 'use a shorter --state DIR, or set XDG_RUNTIME_DIR';

/**
 * Where the backend may lay down what a session needs, the best first: in memory, where a file costs a tenth and a full disk
 * stops nothing; beside its lease; or, when that path is too long for a unix socket, in the temporary directory. Makes nothing.
 */
export function boxFolders(state: RunnerState, session: string, env: NodeJS.ProcessEnv = process.env): string[] {
  const beside = join(state.sessions, session, 'box');
  const below = (folders: readonly string[]): string[] => folders.map((folder) => join(folder, session));
  const besides = Buffer.byteLength(beside) <= MAX_FOLDER_BYTES ? [beside] : below(shortFolders(env));
  return [...below(memoryFolders(env)), ...besides];
}

/** Where `boxFolder` puts boxes of all state directories side by side. */
export const sharedFolders = (env: NodeJS.ProcessEnv = process.env): string[] => [
  ...new Set([...memoryFolders(env).slice(0, 1), ...shortFolders(env).slice(-1)]),
];

const memoryFolders = (env: NodeJS.ProcessEnv): string[] =>
  oursIn([env['XDG_RUNTIME_DIR'] ?? '', '/dev/shm'].filter(isMemory));

const shortFolders = (env: NodeJS.ProcessEnv): string[] =>
  oursIn([env['XDG_RUNTIME_DIR'] || tmpdir(), '/tmp'].filter((base) => Buffer.byteLength(base) <= 40));

const oursIn = (bases: readonly string[]): string[] =>
  bases.map((base) => join(base, `keywarden-${process.getuid?.() ?? 0}`)).filter(mayBeOurs);

/**
 * @param inMemory  Not when the engine is another process that may see other mounts, nor when device nodes are laid down (a
 *   tmpfs for everybody is mounted nodev).
 * @throws {Failure} when there is no place for it.
 */
export function boxFolder(state: RunnerState, session: string, inMemory: boolean): string {
  const folder = boxFolders(state, session).at(inMemory ? 0 : -1);
  if (folder === undefined) throw new Failure('there is no folder for what the sandbox needs', MEND);
  return folder;
}

/** Makes the folder, and sees to it that nobody else can be in it. */
export function makeBox(folder: string): void {
  const above = dirname(folder);
  openPrivateDirectory(above);
  // Where everybody may write, somebody else may have been first.
  if (!mayBeOurs(above)) throw new Failure(`${above} is not a folder of yours`, MEND);
  mkdirSync(folder, { mode: 0o700 });
}

function mayBeOurs(path: string): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false });
  return there === undefined || (there.isDirectory() && there.uid === (process.getuid?.() ?? there.uid));
}

function isMemory(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return statfsSync(path).type === TMPFS;
  } catch {
    return false;
  }
}
