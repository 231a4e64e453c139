import type { Context } from 'hono';
import type { Edge } from '../edge.ts';
import type { Env } from '../env.ts';
import type { Operator } from '../operator/roles.ts';

/** What the routes of our own API share. */
export interface Variables {
  edge: Edge;
  requestId: string;
  operator: Operator;
}

export type Api = { Bindings: Env; Variables: Variables };
export type ApiContext = Context<Api>;
