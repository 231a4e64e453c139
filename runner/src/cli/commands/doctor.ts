import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { Check } from '../../doctor/check.ts';
import { edgeChecks } from '../../doctor/edge.ts';
import { isolationChecks } from '../../doctor/isolation.ts';
import { policyChecks, stateCheck } from '../../doctor/local.ts';
import { EXIT } from '../../failure.ts';
import { inProject } from '../../project.ts';
import { nearestStateDirectory, stateDirectoryAt } from '../../state/state-directory.ts';
import { stateOption } from '../arguments.ts';
import type { SetExit } from '../program.ts';
import { coloured, harmlessLine, print, printJson } from '../terminal.ts';

interface DoctorOptions {
  readonly policies?: string;
  readonly vars?: string;
  readonly state?: string;
  readonly json?: boolean;
}

export function doctorCommand(setExit: SetExit): Command {
  return new Command('doctor')
    .description('what works here, what does not, and how to mend it')
    .option('--policies <dir>', "the policies to look at (default: the project's policies/)")
    .option('--vars <file>', 'the secrets to look for')
    .addOption(stateOption())
    .option('--json', 'print { ok, checks: [{ name, state, detail, mend }] }')
    .addHelpText(
      'after',
      `
Exit code 1 when something that the edge needs is broken; a warning is none. Layers of isolation
are only told: present or absent, and how to get them.

Example:
  keywarden doctor --json`,
    )
    .action(async (options: DoctorOptions) => setExit(await examine(options)));
}

async function examine(options: DoctorOptions): Promise<number> {
  const { nodeCheck, workerdCheck } = await import('../../doctor/runtime.ts');
  const policies = options.policies === undefined ? inProject('policies') : resolve(options.policies);
  const beside = inProject('.dev.vars');
  const vars = options.vars ?? (options.policies === undefined && existsSync(beside) ? beside : null);
  const state = options.state === undefined ? nearestStateDirectory(process.cwd()) : stateDirectoryAt(options.state);
  const checks: Check[] = [
    nodeCheck(),
    await workerdCheck(),
    ...(await policyChecks(policies, vars)),
    stateCheck(state),
    ...(await edgeChecks(options.state)),
    ...(await isolationChecks()),
  ];
  const sound = checks.every((check) => check.state !== 'broken');
  if (options.json) printJson({ ok: sound, checks });
  else for (const check of checks) printCheck(check);
  return sound ? EXIT.ok : EXIT.negative;
}

const COLOUR = {
  ok: 'green',
  warning: 'yellow',
  broken: 'red',
  present: 'green',
  absent: 'yellow',
  skipped: 'dim',
} as const;

function printCheck(check: Check): void {
  print(`${coloured(COLOUR[check.state], check.state.padEnd(8))} ${check.name}: ${harmlessLine(check.detail)}`);
  if (check.mend !== null) print(`${' '.repeat(9)}mend: ${harmlessLine(check.mend)}`);
}
