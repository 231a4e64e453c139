import { Failure } from '../failure.ts';
import { findEdge } from './edge-address.ts';
import { EdgeClient } from './edge-client.ts';

/** For commands that have work to do without an edge too: null and the reason when none is to be found. */
export function edgeIfAny(stateDir: string | undefined): { client: EdgeClient | null; why: string | null } {
  try {
    return { client: new EdgeClient(findEdge(stateDir)), why: null };
  } catch (error) {
    if (error instanceof Failure) return { client: null, why: error.message };
    throw error;
  }
}
