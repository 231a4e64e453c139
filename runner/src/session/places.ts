import { lstatSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../failure.ts';
import { openPrivateDirectory } from '../state/private-file.ts';
import type { RunnerState } from './runner-state.ts';

/** `sun_path` has room for 107 bytes (unix(7)), and the backend's sockets have names of their own below the folder. */
const MAX_FOLDER_BYTES = 107 - 20;

/**
 * Where the backend lays down what a session needs: beside its lease, or, when that path is too long for a unix socket, in a
 * private folder of this user's in the temporary directory.
 */
export function boxFolder(state: RunnerState, session: string, env: NodeJS.ProcessEnv = process.env): string {
  const beside = join(state.sessions, session, 'box');
  if (Buffer.byteLength(beside) <= MAX_FOLDER_BYTES) return beside;
  const uid = process.getuid?.() ?? 0;
  const base = env['XDG_RUNTIME_DIR'] || tmpdir();
  const ours = join(Buffer.byteLength(base) <= 40 ? base : '/tmp', `keywarden-${uid}`);
  openPrivateDirectory(ours);
  const there = lstatSync(ours);
  // In a folder where everybody may write, somebody else may have been first.
  if (!there.isDirectory() || there.uid !== uid) {
    throw new Failure(`${ours} is not a folder of yours`, 'use a shorter --state DIR, or set XDG_RUNTIME_DIR');
  }
  return join(ours, session);
}
