import { setTimeout as delay } from 'node:timers/promises';
import {
  MintResponse,
  RevokeResponse,
  type SessionCounters,
  SessionJson,
  SessionReportResponse,
  type SessionStartRequest,
} from '../../../src/protocol.ts';
import type { EdgeClient } from '../client/edge-client.ts';
import { Failure, NoAnswer, Refusal } from '../failure.ts';

/** What a session needs of the edge. */
export interface SessionEdge {
  readonly url: string;
  announce(request: SessionStartRequest): Promise<void>;
  mint(grant: { agent: string; session: string; capabilities: readonly string[]; ttlSeconds: number }): Promise<{
    readonly token: string;
    readonly tokenId: string;
    readonly warning: string | null;
  }>;
  /** @returns whether somebody asked for the session's end. */
  report(session: string, sequence: number, counters: SessionCounters): Promise<boolean>;
  revoke(session: string): Promise<void>;
  /** @returns false when the edge will never take it: it does not know the session, or holds another receipt. */
  end(session: string, receipt: string): Promise<boolean>;
}

const REPORT_TIMEOUT_MS = 5_000;
const END_TIMEOUT_MS = 10_000;

export function sessionEdge(client: EdgeClient): SessionEdge {
  return {
    url: client.url,
    announce: async (request) => void (await client.post('/v1/sessions', request, SessionJson)),
    async mint({ agent, session, capabilities, ttlSeconds }) {
      const minted = await client.post(
        '/v1/tokens',
        { agent_id: agent, capabilities, ttl_seconds: ttlSeconds, session_id: session },
        MintResponse,
      );
      // It becomes a variable of the agent's, and its id a line of the receipt.
      if (!/^[\x21-\x7e]{1,16384}$/.test(minted.token) || !/^[\x21-\x7e]{1,256}$/.test(minted.token_id))
        throw new Failure(`${client.url} answered with a token that is none`, 'is this a Keywarden edge?');
      return { token: minted.token, tokenId: minted.token_id, warning: minted.warning ?? null };
    },
    async report(session, sequence, counters) {
      const path = `/v1/sessions/${session}/report`;
      const answer = await within(REPORT_TIMEOUT_MS, client.post(path, { sequence, counters }, SessionReportResponse));
      return answer.stop_requested;
    },
    async revoke(session) {
      await within(END_TIMEOUT_MS, client.post('/v1/tokens/revoke', { session_id: session }, RevokeResponse));
    },
    async end(session, receipt) {
      try {
        await within(END_TIMEOUT_MS, client.post(`/v1/sessions/${session}/end`, { receipt }, SessionJson));
        return true;
      } catch (error) {
        if (error instanceof Refusal && FINAL.has(error.code)) return false;
        throw error;
      }
    },
  };
}

/** The edge's last word on a receipt; one that is away or cannot write will take it later. */
const FINAL: ReadonlySet<string | null> = new Set([
  'session_unknown',
  'session_foreign',
  'session_ended',
  'receipt_invalid',
]);

/** The client waits long enough for people; the end of a session does not. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const cancel = new AbortController();
  const late = delay(ms, undefined, { signal: cancel.signal, ref: false }).then(
    () => {
      throw new NoAnswer(`the edge did not answer within ${ms / 1000} s`);
    },
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    work.catch(() => {});
    cancel.abort();
  }
}
