import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { openPrivateDirectory } from '../state/private-file.ts';
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
  const base = env['XDG_STATE_HOME'] || join(env['HOME'] || homedir(), '.local', 'state');
  return runnerStateAt(join(base, 'keywarden'));
}

export function openRunnerState(state: RunnerState): void {
  for (const path of [state.path, state.sessions, state.receipts]) openPrivateDirectory(path);
}
