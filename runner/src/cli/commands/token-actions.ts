import { MintRequest, MintResponse, RevokeResponse } from '../../../../src/protocol.ts';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { usage } from '../../failure.ts';
import { note, print, printJson } from '../terminal.ts';
import type { MintOptions, RevokeOptions } from './token.ts';

export async function mint(options: MintOptions): Promise<void> {
  if (options.agent === undefined)
    throw usage('whose token? --agent is missing', 'keywarden token --agent demo --can stripe:read_balance');
  if (options.can === undefined || options.can.length === 0) {
    throw usage(
      'a token for what? --can is missing',
      'keywarden policy check lists the capabilities that the policies define',
    );
  }
  const request = MintRequest.safeParse({
    agent_id: options.agent,
    capabilities: options.can,
    ...(options.ttl === undefined ? {} : { ttl_seconds: options.ttl }),
    ...(options.session === undefined ? {} : { session_id: options.session }),
  });
  if (!request.success)
    throw usage(
      request.error.issues
        .map((issue) => `${OPTION_OF[String(issue.path[0])] ?? String(issue.path[0])}: ${issue.message}`)
        .join('\n'),
    );
  const answer = await new EdgeClient(findEdge(options.state)).post('/v1/tokens', request.data, MintResponse);
  // Words for people: on stdout there is what was minted, and nothing else.
  const { warning, ...minted } = answer;
  if (warning !== undefined) note(warning);
  if (options.json) return printJson(minted);
  print(minted.token);
  note(
    `${minted.agent_id} may ${minted.capabilities.join(', ')} until ${minted.expires_at} (token ${minted.token_id})`,
  );
}

const OPTION_OF: Readonly<Record<string, string>> = {
  agent_id: '--agent',
  capabilities: '--can',
  ttl_seconds: '--ttl',
  session_id: '--session',
};

export async function revoke(options: RevokeOptions): Promise<void> {
  const body = revocationOf(options);
  const done = await new EdgeClient(findEdge(options.state)).post('/v1/tokens/revoke', body, RevokeResponse);
  if (options.json) return printJson(done);
  note(`revoked by ${done.revoked}: ${done.agents.join(', ') || 'no agent had any'}`);
}

function revocationOf(options: RevokeOptions): Record<string, string> {
  const { tokenId, session, agent } = options;
  if (tokenId !== undefined && session === undefined)
    return { token_id: tokenId, ...(agent === undefined ? {} : { agent_id: agent }) };
  if (session !== undefined && tokenId === undefined && agent === undefined) return { session_id: session };
  if (agent !== undefined && session === undefined) return { agent_id: agent };
  throw usage('name what to revoke: --token-id, --session or --agent', 'keywarden token revoke --agent demo');
}
