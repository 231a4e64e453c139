import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { engineAt, SESSION_LABEL } from '../../../src/sandbox/docker/engine.ts';
import { startOwnDockerd } from '../../sandbox/support/own-dockerd.ts';

const DOCKERD = fileURLToPath(new URL('../../../../scripts/dockerd.ts', import.meta.url));

/** A daemon of the test's own, which may be killed and started again. */
export class OwnEngine {
  readonly socket: string;
  readonly stop: () => void;
  readonly api: Docker;

  constructor() {
    ({ socket: this.socket, stop: this.stop } = startOwnDockerd());
    this.api = engineAt(this.socket);
  }

  get pid(): number {
    return Number(readFileSync(join(dirname(this.socket), 'dockerd.pid'), 'utf8'));
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { pid } = this;
    process.kill(pid, signal);
    while (isAlive(pid)) await sleep(20);
  }

  async startAgain(): Promise<void> {
    await promisify(execFile)(process.execPath, [DOCKERD, 'start', dirname(this.socket)]);
  }

  async containersOf(session: string): Promise<string[]> {
    const filters = { label: [`${SESSION_LABEL}=${session}`] };
    return (await this.api.listContainers({ all: true, filters })).map(({ Id }) => Id);
  }
}

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

export async function until(holds: () => boolean | Promise<boolean>, patienceMs = 10_000): Promise<void> {
  for (const end = performance.now() + patienceMs; !(await holds()); await sleep(20)) {
    if (performance.now() > end) throw new Error(`not within ${patienceMs} ms`);
  }
}
