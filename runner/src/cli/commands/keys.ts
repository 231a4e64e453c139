import { Command } from 'commander';
import { ROLES } from '../../../../src/protocol.ts';
import { collectNames } from '../arguments.ts';

export interface CreateOptions {
  readonly operator: string;
  readonly roles?: readonly string[];
  readonly out?: string;
  readonly json?: boolean;
}

export function keysCommand(): Command {
  const create = new Command('create')
    .description('make a signing key and an operator key for an edge of your own')
    .option('--operator <id>', "the operator's id in the audit", 'admin')
    // No default here: commander would hand it to the parser as what was collected before.
    .option('--roles <roles...>', `what the operator may: ${ROLES.join(', ')} (default: all)`, collectNames)
    .option('--out <file>', 'write them to a new file of mode 0600 instead of printing them')
    .option('--json', 'print or write them as JSON')
    .addHelpText(
      'after',
      `
The operator key is for the operator alone: the edge gets only its SHA-256.

Examples:
  keywarden keys create
  keywarden keys create --operator ci --roles mint --out keys.env`,
    )
    .action(async (options: CreateOptions) => (await import('./keys-create.ts')).createKeys(options));
  return new Command('keys').description('keys of an edge').addCommand(create);
}
