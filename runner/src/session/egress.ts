import { openEgress as open } from '../sandbox/egress/open-egress.ts';
import type { Egress } from './run-session.ts';
import type { SessionEdge } from './session-edge.ts';

/** The only way out: an agent's paths of the edge, on a unix socket. Without an edge it says so. */
export const openEgress = (socket: string, edge: SessionEdge | null): Promise<Egress> =>
  open(socket, edge?.url ?? null);
