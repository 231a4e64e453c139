import { Command, Option } from 'commander';
import { countUpTo, cursorOption, stateOption } from '../arguments.ts';
import type { SetExit } from '../program.ts';

export interface CommonOptions {
  readonly state?: string;
  readonly json?: boolean;
}

export interface ListOptions extends CommonOptions {
  readonly agent?: string;
  readonly only?: string;
  readonly limit: number;
  readonly cursor?: string;
}

/** Loaded when asked for: other commands need not wait for it. */
const actions = () => import('./sessions-actions.ts');

export function sessionsCommand(setExit: SetExit): Command {
  const command = new Command('sessions').description('what runs in sandboxes, and the receipts of what ran');
  command.addCommand(
    new Command('list')
      .description('sessions at the edge, newest first, and those on this host that it does not know')
      .option('--agent <id>', 'of this agent only')
      .addOption(new Option('--only <state>', 'in this state only').choices(['running', 'stopping', 'ended', 'lost']))
      .option('--limit <n>', 'at most so many, 1 to 1000', countUpTo(1000), 50)
      .addOption(cursorOption())
      .addOption(stateOption())
      .option('--json', 'print { sessions: […], next_cursor, local: […] }')
      .addHelpText('after', '\nExample:\n  keywarden sessions list --only running')
      .action(async (options: ListOptions) => (await actions()).list(options)),
  );
  command.addCommand(
    new Command('show')
      .description('one session, with its counters and its receipt')
      .argument('<id>', 'the session, as list shows it')
      .addOption(stateOption())
      .option('--json', "print the edge's answer, or the receipt kept here")
      .addHelpText('after', '\nExample:\n  keywarden sessions show ses_01k…')
      .action(async (id: string, options: CommonOptions) => (await actions()).show(id, options)),
  );
  command.addCommand(
    new Command('stop')
      .description('revoke its token and end it: SIGTERM, 5 s of grace, SIGKILL')
      .argument('<id>', 'the session, as list shows it')
      .addOption(stateOption())
      .option('--json', 'print { session_id, asked: ["edge", "runner"] }')
      .addHelpText('after', '\nExample:\n  keywarden sessions stop ses_01k…')
      .action(async (id: string, options: CommonOptions) => (await actions()).stop(id, options)),
  );
  command.addCommand(
    new Command('verify')
      .description('check the signature of a receipt, offline')
      .argument('<file>', 'receipts/<id>.json, or the bare JWS')
      .option('--key <x>', "the runner's public key (x of its Ed25519 JWK); default: the one in the state directory")
      .addOption(stateOption())
      .option('--json', 'print { ok, why, receipt, sha256 }')
      .addHelpText('after', '\nExample:\n  keywarden sessions verify .keywarden/receipts/ses_01k….json')
      .action(async (file: string, options: CommonOptions & { key?: string }) =>
        setExit(await (await actions()).verify(file, options)),
      ),
  );
  return command.addHelpText(
    'after',
    `
Examples:
  keywarden sessions list --only running
  keywarden sessions stop ses_01k…
  keywarden sessions verify .keywarden/receipts/ses_01k….json`,
  );
}
