import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { Failure } from '../../failure.ts';
import { statusOf } from './engine.ts';

const PATIENCE_MS = 10_000;

/** By its id, never by a name, which may have been given to another meanwhile (threat B64). Returns when it is gone. */
export async function removeContainer(engine: Docker, id: string): Promise<void> {
  const container = engine.getContainer(id);
  for (const until = performance.now() + PATIENCE_MS; ; await sleep(20)) {
    try {
      await container.remove({ force: true, v: true });
      return;
    } catch (error) {
      if (statusOf(error) === 404) return;
      // 409: the engine itself is removing it; 500: it lost a race against its own end.
      if (statusOf(error) === null) throw error;
      if (performance.now() > until) {
        throw new Failure(
          `the engine does not remove the container ${id}: ${(error as Error).message}`,
          'keywarden sweep',
        );
      }
    }
  }
}
