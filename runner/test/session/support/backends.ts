import type { Backend, BackendName } from '../../../src/sandbox/backend.ts';
import { backendOf } from '../../../src/session/choose-backend.ts';
import { startOwnDockerd } from '../../sandbox/support/own-dockerd.ts';
import { plainBackend } from './plain-backend.ts';

export interface BackendUnderTest {
  readonly backend: Backend;
  readonly stop: () => void;
}

export type NameUnderTest = BackendName | 'plain';

/**
 * The session's life is the same on every backend: on one that isolates nothing, and on the real ones. Docker's gets a daemon of
 * the test's own, which programs that the test starts find by DOCKER_HOST.
 */
export async function backendUnderTest(name: NameUnderTest): Promise<BackendUnderTest> {
  if (name === 'plain') return { backend: plainBackend(), stop: () => {} };
  if (name === 'namespace') return { backend: await backendOf('namespace'), stop: () => {} };
  const { socket, stop } = startOwnDockerd();
  const before = process.env['DOCKER_HOST'];
  process.env['DOCKER_HOST'] = `unix://${socket}`;
  return {
    backend: await backendOf('docker'),
    stop() {
      if (before === undefined) delete process.env['DOCKER_HOST'];
      else process.env['DOCKER_HOST'] = before;
      stop();
    },
  };
}
