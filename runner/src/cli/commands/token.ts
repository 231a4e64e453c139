import { Command } from 'commander';
import { collectNames, parseDuration, stateOption } from '../arguments.ts';

export interface MintOptions {
  readonly agent?: string;
  readonly can?: readonly string[];
  readonly ttl?: number;
  readonly session?: string;
  readonly state?: string;
  readonly json?: boolean;
}

export interface RevokeOptions {
  readonly tokenId?: string;
  readonly session?: string;
  readonly agent?: string;
  readonly state?: string;
  readonly json?: boolean;
}

/** Loaded when asked for: other commands need not wait for it. */
const actions = () => import('./token-actions.ts');

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
  keywarden token --agent demo --can stripe:refund stripe:read_balance --ttl 1h
  export TOKEN=$(keywarden token --agent demo --can stripe:read_balance)
  keywarden token revoke --agent demo

Prints the bare token on stdout, so that it can be piped.`,
    )
    .action(async (options: MintOptions) => (await actions()).mint(options));
  command.addCommand(revokeCommand());
  return command;
}

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
      await (await actions()).revoke(options);
    });
}
