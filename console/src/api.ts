import type { CONSOLE_FIELD, Problem } from '../../src/protocol.ts';

/** Checked against the protocol by its type; importing the value would bring all schemas along. */
const FIELD: typeof CONSOLE_FIELD = 'x-keywarden-console';

/** A no of the edge, in its own words. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let signedOut: () => void = () => {};
export const onSignedOut = (then: () => void): void => {
  signedOut = then;
};

export type Query = Readonly<Record<string, string | number | null | undefined>>;

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value != null && value !== '') search.set(name, String(value));
  return send<T>(search.size === 0 ? path : `${path}?${search}`, signal === undefined ? {} : { signal });
}

export const post = <T>(path: string, body: unknown): Promise<T> =>
  send<T>(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', [FIELD]: '1' },
    body: JSON.stringify(body),
  });

export const remove = (path: string): Promise<void> => send(path, { method: 'DELETE', headers: { [FIELD]: '1' } });

async function send<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, credentials: 'same-origin', redirect: 'error' });
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new Refusal(0, 'unreachable', 'The edge cannot be reached. It may have been stopped.');
  }
  if (response.status === 204) return undefined as T;
  const body = (await response.json().catch(() => null)) as T | Problem | null;
  if (response.ok && body !== null) return body as T;
  const problem = body as Problem | null;
  if (response.status === 401 && path !== '/v1/console/session') signedOut();
  throw new Refusal(response.status, problem?.code ?? 'unknown', problem?.detail ?? `Status ${response.status}`);
}
