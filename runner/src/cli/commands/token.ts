import { Command } from 'commander';
import { MintRequest, MintResponse, RevokeResponse } from '../../../../src/protocol.ts';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { usage } from '../../failure.ts';
import { collectNames, parseDuration, stateOption } from '../arguments.ts';
import { note, print, printJson } from '../terminal.ts';

interface MintOptions {
  readonly agent?: string;
  readonly can?: readonly string[];
  readonly ttl?: number;
  readonly session?: string;
  readonly state?: string;
  readonly json?: boolean;
}

interface RevokeOptions {
  readonly tokenId?: string;
  readonly session?: string;
  readonly agent?: string;
  readonly state?: string;
  readonly json?: boolean;
}

export function tokenCommand(): Command {
  const command = new Command('token')
    .description('mint a capability token, or revoke what was minted')
    .usage('--agent ID --can CAP… [options]')
    .option('--agent <id>', 'whom the token speaks for')
    .option(
      '--can <capabilities...>',
      'what it allows, as in stripe:read_balance; repeatable, several, or comma-separated',
      collectNames,
    )
    .option('--ttl <time>', 'how long it lives: 90s (or 90), 15m, 1h; at most 24h (default: 15m)', parseDuration)
    .option('--session <id>', 'the session it belongs to')
    .addOption(stateOption())
    .option('--json', 'print { token, agent_id, capabilities, expires_at, token_id }')
    .addHelpText(
      'after',
      `
Examples:
  keywarden token --agent demo --can stripe:read_balance
  keywarden token --agent demo --can stripe:refund stripe:read_balance --ttl 1h --json
  export STRIPE_API_KEY=$(keywarden token --agent demo --can stripe:read_balance)
  keywarden token revoke --agent demo

Prints the bare token on stdout, so that it can be piped.`,
    )
    .action(mint);
  command.addCommand(revokeCommand());
  return command;
}

async function mint(options: MintOptions): Promise<void> {
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
  const minted = await new EdgeClient(findEdge(options.state)).post('/v1/tokens', request.data, MintResponse);
  if (minted.warning !== undefined) note(minted.warning);
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

function revokeCommand(): Command {
  return new Command('revoke')
    .description('revoke one token, a session, or all that an agent holds; acts on the next call')
    .option('--token-id <id>', 'one token, by the token_id it was minted with')
    .option('--session <id>', 'every token of a session')
    .option('--agent <id>', 'every token that an agent holds now; with --token-id, the agent it belongs to')
    .addOption(stateOption())
    .option('--json', 'print { revoked, agents }')
    .addHelpText(
      'after',
      `
Examples:
  keywarden token revoke --token-id 01J… --agent demo
  keywarden token revoke --agent demo`,
    )
    .action(async (own: RevokeOptions, command: Command) => {
      // The parent has options of the same names: commander gives it what stands before the subcommand's name.
      const options: RevokeOptions = { ...command.parent?.opts(), ...own };
      const body = revocationOf(options);
      const done = await new EdgeClient(findEdge(options.state)).post('/v1/tokens/revoke', body, RevokeResponse);
      if (options.json) return printJson(done);
      note(`revoked by ${done.revoked}: ${done.agents.join(', ') || 'no agent had any'}`);
    });
}

function revocationOf(options: RevokeOptions): Record<string, string> {
  const { tokenId, session, agent } = options;
  if (tokenId !== undefined && session === undefined)
    return { token_id: tokenId, ...(agent === undefined ? {} : { agent_id: agent }) };
  if (session !== undefined && tokenId === undefined && agent === undefined) return { session_id: session };
  if (agent !== undefined && session === undefined) return { agent_id: agent };
  throw usage('name what to revoke: --token-id, --session or --agent', 'keywarden token revoke --agent demo');
}
