import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { Failure } from '../../failure.ts';

export const SESSION_LABEL = 'keywarden.session';

export type EngineKind = 'docker' | 'podman';

/**
 * The Engine API's socket: DOCKER_HOST, else Docker's own place. Podman's socket speaks the same.
 *
 * @throws {Failure} when DOCKER_HOST leads to another machine: sockets of this one cannot be mounted there.
 */
export function socketOf(env: NodeJS.ProcessEnv = process.env): string {
  const host = env['DOCKER_HOST'];
  if (host?.startsWith('unix:///')) return host.slice('unix://'.length);
  if (host !== undefined && host !== '') {
    throw new Failure(
      `DOCKER_HOST is ${host.replace(/\/\/[^/@]*@/, '//')}: the docker backend needs an engine on this machine`,
      'unset DOCKER_HOST, or DOCKER_HOST=unix:///var/run/docker.sock',
    );
  }
  const ours = join(homedir(), '.docker', 'run', 'docker.sock');
  return isThere(ours) ? ours : '/var/run/docker.sock';
}

/** An engine that takes calls and does not answer keeps nobody for ever. Making a container may copy an image (vfs). */
const PATIENCE_MS = 60_000;
/** For questions, which it answers at once or not at all, and for what is ended in any case. */
export const SHORT_PATIENCE_MS = 8_000;

/** @param patienceMs  For each answer; 0: as long as it takes. */
export const engineAt = (socketPath: string, patienceMs: number = PATIENCE_MS): Docker =>
  new Docker({ socketPath, timeout: patienceMs });

export async function kindOf(engine: Docker): Promise<EngineKind> {
  const version = await engine.version();
  return version.Components?.some(({ Name }) => /podman/i.test(Name)) ? 'podman' : 'docker';
}

export const wordsOf = (error: unknown): string => {
  const { json, message } = error as { json?: { message?: string }; message?: string };
  return (json?.message ?? message ?? String(error)).trim().slice(0, 500);
};

export const statusOf = (error: unknown): number | null => (error as { statusCode?: number | null }).statusCode ?? null;

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.F_OK);
    return true;
  } catch {
    return false;
  }
}
