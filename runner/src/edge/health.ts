import { Health } from '../../../src/protocol.ts';
import { Failure } from '../failure.ts';

/**
 * Waits until the edge serves.
 *
 * @throws Failure with every problem and its mend when it says that its environment is broken, or says nothing in time.
 */
export async function awaitHealth(url: string, withinMs = 15_000): Promise<Health> {
  const deadline = Date.now() + withinMs;
  let last = 'no answer';
  while (Date.now() < deadline) {
    try {
      const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5_000), redirect: 'manual' });
      const health = Health.safeParse(await response.json());
      if (health.success && health.data.status === 'ok') return health.data;
      if (health.success) throw brokenOf(health.data);
      last = `an answer of status ${response.status} that is no health report`;
    } catch (error) {
      if (error instanceof Failure) throw error;
      last = (error as Error).message;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Failure(`the edge does not become healthy: ${last}`);
}

function brokenOf(health: Health): Failure {
  return new Failure(
    ['the edge refuses to serve', ...health.problems.map((p) => p.problem)].join('\n'),
    health.problems.map((p) => p.mend),
  );
}
