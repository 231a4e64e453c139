import { AuditListResponse, Health } from '../../../src/protocol.ts';
import { type EdgeAddress, findEdge } from '../client/edge-address.ts';
import { EdgeClient } from '../client/edge-client.ts';
import { counted } from '../counted.ts';
import { Failure } from '../failure.ts';
import { broken, type Check, fine, skipped } from './check.ts';
import { clockCheck } from './clock.ts';

/** Is the edge there, healthy, of our time, and does it know our operator key? */
export async function edgeChecks(stateDir: string | undefined): Promise<Check[]> {
  let address: EdgeAddress;
  try {
    address = findEdge(stateDir);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // No edge at all is a state to be in; one that was named but cannot be used is not.
    const absent = /^no edge/.test(error.message);
    return [absent ? skipped('edge', error.message) : broken('edge', error.message, error.hints.join('; '))];
  }
  const health = await healthCheck(address.url);
  return health[0]?.state === 'broken' ? health : [...health, await keyCheck(address)];
}

async function healthCheck(url: string): Promise<Check[]> {
  try {
    const askedAt = Date.now();
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000), redirect: 'manual' });
    const answeredAt = Date.now();
    const health = Health.safeParse(await response.json().catch(() => null));
    if (!health.success)
      return [
        broken('edge', `${url} answers, but not as an edge`, 'is its address right, and is it of the same version?'),
      ];
    if (health.data.status !== 'ok') {
      return [
        broken(
          'edge',
          `${url}: ${health.data.problems.map((p) => p.problem).join('; ')}`,
          health.data.problems.map((p) => p.mend).join('; '),
        ),
      ];
    }
    return [
      fine('edge', `${url} serves ${counted(health.data.services.length, 'service')}`),
      clockCheck(Date.parse(health.data.now), askedAt, answeredAt),
    ];
  } catch (error) {
    const cause = (error as Error).cause;
    return [
      broken(
        'edge',
        `${url} cannot be reached: ${cause instanceof Error ? cause.message || (error as Error).message : (error as Error).message}`,
        'keywarden dev starts one',
      ),
    ];
  }
}

async function keyCheck(address: EdgeAddress): Promise<Check> {
  try {
    await new EdgeClient(address).get('/v1/audit', AuditListResponse, { limit: 1 });
    return fine('operator key', `accepted (from ${address.source})`);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return broken('operator key', error.message, error.hints.join('; ') || 'use the key that this edge was given');
  }
}
