import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = (name: string): string => fileURLToPath(new URL(`../../../../scripts/${name}`, import.meta.url));

/** A Docker daemon of the test's own, with the sandbox's image in it. */
export function startOwnDockerd(): { socket: string; stop: () => void } {
  const parent = mkdtempSync(join(tmpdir(), 'keywarden-dockerd-'));
  const directory = join(parent, 'd');
  const run = (name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string =>
    execFileSync(process.execPath, [script(name), ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
  const stop = (): void => {
    run('dockerd.ts', ['stop', directory]);
    rmSync(parent, { recursive: true });
  };
  try {
    const socket = run('dockerd.ts', ['start', directory]).trim();
    run('sandbox-image.ts', [], { DOCKER_HOST: `unix://${socket}` });
    return { socket, stop };
  } catch (error) {
    stop();
    throw error;
  }
}
