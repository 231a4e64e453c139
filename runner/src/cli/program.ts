import { readFileSync } from 'node:fs';
import { type AddHelpTextContext, Command, InvalidArgumentError, type Option } from 'commander';
import { inPackage } from '../project.ts';
import { approvalsCommand } from './commands/approvals.ts';
import { auditCommand } from './commands/audit.ts';
import { devCommand } from './commands/dev.ts';
import { doctorCommand } from './commands/doctor.ts';
import { keysCommand } from './commands/keys.ts';
import { policyCommand } from './commands/policy.ts';
import { runCommand } from './commands/run.ts';
import { selftestCommand } from './commands/selftest.ts';
import { sessionsCommand } from './commands/sessions.ts';
import { sweepCommand } from './commands/sweep.ts';
import { tokenCommand } from './commands/token.ts';
import { complain } from './terminal.ts';

/** Sets the exit code of a command that worked but whose answer is no. */
export type SetExit = (code: number) => void;

export function createProgram(setExit: SetExit): Command {
  const program = new Command('keywarden')
    .description('Agents use APIs without ever holding their keys.')
    .version(versionOf(), '--version', 'print the version')
    .helpCommand(false)
    .enablePositionalOptions()
    .addHelpText('beforeAll', refuseUnknown)
    .addHelpText('after', HELP);
  for (const make of [
    devCommand,
    runCommand,
    sessionsCommand,
    sweepCommand,
    selftestCommand,
    tokenCommand,
    approvalsCommand,
    auditCommand,
    policyCommand,
    keysCommand,
    doctorCommand,
  ]) {
    program.addCommand(make(setExit));
  }
  settle(program);
  return program;
}

const HELP = `
Examples:
  keywarden dev --policies policies --vars .dev.vars
  export TOKEN=$(keywarden token --agent demo --can stripe:read_balance)
  curl -H "Authorization: Bearer $TOKEN" \\
    http://127.0.0.1:8787/proxy/stripe/v1/balance
  keywarden run --can stripe:read_balance -- python3 agent.py
  keywarden audit list --since 1h

The edge and its operator key are found in --state DIR, in KEYWARDEN_URL and
KEYWARDEN_OPERATOR_KEY, or else in the nearest .keywarden/ upwards.

Exit codes: 0 done; 1 the answer is no; 2 wrong usage; 125 keywarden failed.`;

/** `audit lst --help` asks for what is not there: commander would show the help of `audit`, as if all were well. */
function refuseUnknown({ command }: AddHelpTextContext): string {
  const [word] = command.args;
  // Without --help, commander complains of it itself.
  if (word !== undefined && !word.startsWith('-') && command.commands.length > 0)
    command.parse([word], { from: 'user' });
  return '';
}

/** Every command throws instead of exiting, and complains in our form. */
function settle(command: Command): void {
  command.helpOption('-h, --help', 'print this help');
  command.exitOverride().configureOutput({ outputError: (text) => complainAbout(text, command) });
  for (const option of command.options) if (option.required && !MAY_BE_EMPTY.has(option.name())) refuseEmpty(option);
  for (const sub of command.commands) {
    sub.helpCommand(false);
    settle(sub);
  }
}

/** Words, which may be none. */
const MAY_BE_EMPTY = new Set(['body', 'reason']);

/** `--state "$DIR"` where nobody set DIR means no folder, and above all not the one where we stand. */
function refuseEmpty(option: Option): void {
  const parse = option.parseArg;
  option.argParser((text, before) => {
    // Its own words say what it should be.
    const value = parse === undefined ? text : parse(text, before);
    if (text.trim() === '') throw new InvalidArgumentError('It is empty.');
    return value;
  });
}

/** Commander's `error: …\n(Did you mean …?)` as an error and hints. */
function complainAbout(text: string, command: Command): void {
  const [first = '', ...rest] = text.trim().split('\n');
  const hints = rest
    .map((line) => line.replace(/^\((.*)\)$/, '$1').replace(/^Did/, 'did'))
    .filter((line) => line !== '');
  complain(first.replace(/^error: /, ''), [...hints, `see ${fullName(command)} --help`]);
}

export function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

function versionOf(): string {
  return (JSON.parse(readFileSync(inPackage('package.json'), 'utf8')) as { version: string }).version;
}
