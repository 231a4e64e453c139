import { Command } from 'commander';
import { stateOption } from '../arguments.ts';
import type { SetExit } from '../program.ts';

export interface DoctorOptions {
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
Exit code 1 when something that the edge needs is broken; a warning is none.
Layers of isolation are only told: present or absent, and how to get them.

Example:
  keywarden doctor --json`,
    )
    .action(async (options: DoctorOptions) => {
      const { examine } = await import('./doctor-examine.ts');
      setExit(await examine(options));
    });
}
