import { Command, Option } from 'commander';
import { ApprovalStateName } from '../../../../src/protocol.ts';
import { countUpTo, cursorOption, stateOption } from '../arguments.ts';

export interface Common {
  readonly state?: string;
  readonly json?: boolean;
}
export interface ListOptions extends Common {
  readonly all?: boolean;
  readonly only?: string;
  readonly agent?: string;
  readonly session?: string;
  readonly limit: number;
  readonly cursor?: string;
}
export interface DecideOptions extends Common {
  readonly reason?: string;
  readonly alike?: boolean;
}

/** Loaded when asked for: other commands need not wait for it. */
const actions = () => import('./approvals-actions.ts');

export function approvalsCommand(): Command {
  const command = new Command('approvals').description('calls that wait for a person: see them, say yes or no');
  command
    .command('list')
    .description('what waits for a decision, oldest first; with --all what was decided, too')
    .option('--all', 'in every state')
    .addOption(new Option('--only <state>', 'in this state only').choices(ApprovalStateName.options))
    .option('--agent <id>', 'of one agent')
    .option('--session <id>', 'of one session')
    .option('--limit <n>', 'at most so many, 1 to 200', countUpTo(200), 50)
    .addOption(cursorOption())
    .addOption(stateOption())
    .option('--json', 'print { approvals, next_cursor }')
    .addHelpText('after', '\nExamples:\n  keywarden approvals list\n  keywarden approvals list --all --agent support')
    .action(async (options: ListOptions) => (await actions()).list(options));
  command
    .command('show')
    .description('everything to decide by: the call, its body, what the agent did lately, what a yes allows')
    .argument('<id>', 'the approval; the beginning of its id will do while it is pending')
    .addOption(stateOption())
    .option('--json', 'print it as JSON')
    .addHelpText('after', '\nExample:\n  keywarden approvals show 3f2a')
    .action(async (id: string, options: Common) => (await actions()).show(id, options));
  command
    .command('approve')
    .description('say yes: the same request goes through once')
    .argument('<id>', 'the approval; the beginning of its id will do')
    .option('--alike', 'to the calls of the shown pattern too, where the policy permits it')
    .option('--reason <words>', 'why; goes into the audit')
    .addOption(stateOption())
    .option('--json', 'print the approval')
    .addHelpText('after', "\nExample:\n  keywarden approvals approve 3f2a --reason 'agreed with the customer'")
    .action(async (id: string, options: DecideOptions) => (await actions()).decide(id, 'approve', options));
  command
    .command('deny')
    .description('say no: it holds for the same request')
    .argument('<id>', 'the approval; the beginning of its id will do')
    .option('--reason <words>', 'why; goes into the audit')
    .addOption(stateOption())
    .option('--json', 'print the approval')
    .addHelpText('after', "\nExample:\n  keywarden approvals deny 3f2a --reason 'not this customer'")
    .action(async (id: string, options: DecideOptions) => (await actions()).decide(id, 'deny', options));
  command
    .command('watch')
    .description('what is asked and decided, as it happens; ends with Ctrl-C')
    .addOption(stateOption())
    .option('--json', 'print each event as a line of JSON')
    .addHelpText('after', '\nExample:\n  keywarden approvals watch')
    .action(async (options: Common) => (await actions()).watch(options));
  return command;
}
