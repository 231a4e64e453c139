import { AuditListResponse, Health } from '../../../src/protocol.ts';
import { type EdgeAddress, findEdge } from '../client/edge-address.ts';
import { EdgeClient } from '../client/edge-client.ts';
import { Failure } from '../failure.ts';
import { broken, type Check, fine, skipped } from './check.ts';

const MAX_SKEW_SECONDS = 30;

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
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000), redirect: 'manual' });
    const health = Health.safeParse(await response.json());
    if (!health.success) return [broken('edge', `${url} answers, but not as an edge`, 'is KEYWARDEN_URL right?')];
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
      fine('edge', `${url} serves ${health.data.services.length} services`),
      skewCheck(response.headers.get('date')),
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

function skewCheck(date: string | null): Check {
  if (date === null || Number.isNaN(Date.parse(date))) return skipped('clock', 'the edge sends no Date');
  const seconds = Math.round(Math.abs(Date.now() - Date.parse(date)) / 1000);
  return seconds <= MAX_SKEW_SECONDS
    ? fine('clock', `within ${Math.max(1, seconds)} s of the edge's`)
    : broken(
        'clock',
        `${seconds} s off the edge's: tokens would look expired or not yet valid`,
        'set the clock: timedatectl set-ntp true',
      );
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
