import type { Agent, AgentOptions, IncomingMessage, RequestOptions } from 'node:http';
import { http, https } from '../node-http.ts';

export interface Sent {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** For the whole exchange, the answer's body included; null: as long as it takes. */
  readonly timeoutMs: number | null;
}

/** Shorter than workerd keeps an idle connection (5 s): no request is written on one that is just being closed. */
const IDLE_MS = 4_000;

/** HTTP with one server; its connections are kept for the next request. */
export class Connection {
  readonly #request: typeof http.request;
  readonly #agent: Agent;

  constructor(base: URL) {
    const { Agent, request } = base.protocol === 'https:' ? https() : http;
    this.#request = request;
    this.#agent = new Agent({ keepAlive: true, timeout: IDLE_MS, ...proxied(process.env) });
  }

  /** Resolves with the head of the answer, whatever its status; redirects are not followed. */
  send(url: URL, { method, headers, body, timeoutMs }: Sent): Promise<IncomingMessage> {
    const options: RequestOptions = {
      method,
      agent: this.#agent,
      headers: { accept: '*/*', 'user-agent': 'keywarden', ...headers },
      ...(timeoutMs === null ? {} : { signal: AbortSignal.timeout(timeoutMs) }),
    };
    return new Promise((resolve, reject) => {
      const asked = this.#request(url, options);
      asked.once('response', resolve);
      asked.on('error', reject);
      asked.end(body ?? undefined);
    });
  }
}

/** Node's own agents look at this; one with options of its own is not told. */
const proxied = (env: NodeJS.ProcessEnv): AgentOptions => (env['NODE_USE_ENV_PROXY'] === '1' ? { proxyEnv: env } : {});
