import type { Agent, AgentOptions, IncomingMessage, RequestOptions } from 'node:http';
import { http, https } from '../node-http.ts';

export interface Sent {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** For the whole exchange, the answer's body included; null: as long as it takes. */
  readonly timeoutMs: number | null;
  /** How long the other side may say nothing; null: as long as `timeoutMs` allows. */
  readonly silenceMs: number | null;
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
  send(url: URL, { method, headers, body, timeoutMs, silenceMs }: Sent): Promise<IncomingMessage> {
    const options: RequestOptions = {
      method,
      agent: this.#agent,
      headers: { accept: '*/*', 'user-agent': 'keywarden', ...headers },
      ...(timeoutMs === null ? {} : { signal: AbortSignal.timeout(timeoutMs) }),
    };
    return new Promise((resolve, reject) => {
      const asked = this.#request(url, options);
      let begun: IncomingMessage | null = null;
      asked.once('response', (answer) => {
        begun = answer;
        resolve(answer);
      });
      asked.on('error', reject);
      if (silenceMs !== null)
        asked.setTimeout(silenceMs, () => {
          const silent = new Error(`nothing came for ${silenceMs / 1000} s`);
          // Once an answer has begun, it is the answer that breaks off.
          if (begun === null) asked.destroy(silent);
          else begun.destroy(silent);
        });
      asked.end(body ?? undefined);
    });
  }
}

/** Node's own agents look at this; one with options of its own is not told. */
const proxied = (env: NodeJS.ProcessEnv): AgentOptions => (env['NODE_USE_ENV_PROXY'] === '1' ? { proxyEnv: env } : {});
