import { readdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { Failure } from '../failure.ts';
import { codeOf, openPrivateDirectory } from '../state/private-file.ts';
import { nearestStateDirectory } from '../state/state-directory.ts';

/** Where a runner keeps what outlives it: leases, receipts, its key. Everything in it is 0600, the folders 0700. */
export interface RunnerState {
  readonly path: string;
  /** One folder a living session, named by its id. */
  readonly sessions: string;
  readonly receipts: string;
  /** The Ed25519 key that signs receipts. */
  readonly keyFile: string;
}

export function runnerStateAt(path: string): RunnerState {
  const root = resolve(path);
  return {
    path: root,
    sessions: join(root, 'sessions'),
    receipts: join(root, 'receipts'),
    keyFile: join(root, 'runner.jwk'),
  };
}

/**
 * `--state DIR`; else, when the edge is a remote one (KEYWARDEN_URL), the user's own state folder (XDG); else the nearest
 * `.keywarden/`; else the user's own again.
 */
export function findRunnerState(
  stateDir: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
  cwd = process.cwd(),
): RunnerState {
  if (stateDir !== undefined) return runnerStateAt(stateDir);
  const nearest = env['KEYWARDEN_URL'] ? null : nearestStateDirectory(cwd);
  if (nearest !== null) return runnerStateAt(nearest.path);
  const [xdg = '', home = ''] = [env['XDG_STATE_HOME'], env['HOME']];
  // A relative one is to be passed over (XDG Base Directory Specification): it would be another in each folder.
  const base = isAbsolute(xdg) ? xdg : join(isAbsolute(home) ? home : homeOfUser(), '.local', 'state');
  return runnerStateAt(join(base, 'keywarden'));
}

function homeOfUser(): string {
  try {
    return userInfo().homedir;
  } catch {
    throw new Failure(
      'there is no home to keep the state in: no HOME, and nobody of this uid',
      'name a folder: --state DIR',
    );
  }
}

/** @throws Failure when there is something that cannot be read: it is not nothing. */
export function namesIn(state: RunnerState, folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw new Failure(
      `cannot read the state directory ${state.path}: ${(error as Error).message}`,
      'name another with --state DIR, or become the user whose it is',
    );
  }
}

export function openRunnerState(state: RunnerState): void {
  for (const path of [state.path, state.sessions, state.receipts]) openPrivateDirectory(path);
}
