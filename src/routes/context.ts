import type { Context } from 'hono';
import type { Edge } from '../edge.ts';
import type { Env } from '../env.ts';
import type { Operator } from '../operator/roles.ts';

/** How long whoever asks is let in, and by which session of the console: what is kept open ends with them. */
export interface SignIn {
  /** Unix ms; null: a key, for as long as it is one. */
  readonly expiresAt: number | null;
  readonly session: string | null;
}

/** What the routes of our own API share. */
export interface Variables {
  edge: Edge;
  requestId: string;
  operator: Operator;
  signIn: SignIn;
}

export type Api = { Bindings: Env; Variables: Variables };
export type ApiContext = Context<Api>;
