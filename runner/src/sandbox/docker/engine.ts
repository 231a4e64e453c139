import { readFileSync } from 'node:fs';
import Docker from 'dockerode';

export const SESSION_LABEL = 'keywarden.session';
export const DEFAULT_IMAGE = 'keywarden/sandbox:latest';

/** The Engine API's socket: DOCKER_HOST when it names one, else Docker's own. Podman's socket speaks the same. */
export function socketOf(env: NodeJS.ProcessEnv = process.env): string {
  const host = env['DOCKER_HOST'];
  return host?.startsWith('unix://') ? host.slice('unix://'.length) : '/var/run/docker.sock';
}

export const engineAt = (socket: string): Docker => new Docker({ socketPath: socket });

/** Where the session's things stand inside; the id is in the paths so that the command line names its session. */
export const insideOf = (session: string) => ({
  helper: `/run/keywarden/${session}/keywarden-helper`,
  control: `/run/keywarden/${session}/control`,
  egress: `/run/keywarden/${session}/egress`,
});

/** Whether somebody with this uid can read the memory of a container's processes, which counting needs. */
export const mayCount = (): boolean =>
  process.getuid?.() === 0 &&
  /^CapEff:\s*[0-9a-f]*[89a-f][0-9a-f]{4}$/m.test(readFileSync('/proc/self/status', 'utf8'));
