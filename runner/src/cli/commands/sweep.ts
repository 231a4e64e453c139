import { Command } from 'commander';
import { stateOption } from '../arguments.ts';
import type { SetExit } from '../program.ts';

export interface SweepOptions {
  readonly state?: string;
  readonly json?: boolean;
}

export function sweepCommand(setExit: SetExit): Command {
  return new Command('sweep')
    .description('end and remove what dead runners left, and send receipts that wait')
    .addOption(stateOption())
    .option('--json', 'print { sessions: [{ session, did, detail }], receipts_sent, receipts_waiting }')
    .addHelpText(
      'after',
      `
Every keywarden run does the same before it starts. Sessions whose runner lives
are never touched.
Exit code 1 when something could not be removed.

Example:
  keywarden sweep --json`,
    )
    .action(async (options: SweepOptions) => {
      const { sweep } = await import('./sweep-host.ts');
      setExit(await sweep(options));
    });
}
