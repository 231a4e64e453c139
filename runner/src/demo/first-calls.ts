import { MintResponse } from '../../../src/protocol.ts';
import { harmlessLine } from '../cli/terminal.ts';
import { findEdge } from '../client/edge-address.ts';
import { EdgeClient } from '../client/edge-client.ts';

const CALLS = [
  { method: 'GET', path: '/proxy/stripe/v1/customers' },
  { method: 'POST', path: '/proxy/stripe/v1/refunds' },
] as const;

/** A first agent: it may list customers, does so, and is refused a refund. @returns one line for each call. */
export async function firstCalls(url: string, stateDir: string): Promise<string[]> {
  const minted = await new EdgeClient(findEdge(stateDir)).post(
    '/v1/tokens',
    { agent_id: 'demo', capabilities: ['stripe:list_customers'], ttl_seconds: 60 },
    MintResponse,
  );
  const lines: string[] = ['An agent "demo" that may only stripe:list_customers has called:'];
  for (const { method, path } of CALLS) {
    const response = await fetch(url + path, { method, headers: { authorization: `Bearer ${minted.token}` } });
    lines.push(`  ${method} ${path} → ${response.status} ${await summaryOf(response)}`);
  }
  return lines;
}

interface Answer {
  data?: { name?: string }[];
  error?: { message?: string };
}

async function summaryOf(response: Response): Promise<string> {
  const answer = (await response.json().catch(() => ({}))) as Answer;
  const names = answer.data?.map((item) => item.name ?? '?').join(', ');
  return harmlessLine(names ?? answer.error?.message ?? '');
}
