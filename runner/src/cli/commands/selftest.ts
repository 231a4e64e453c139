import { Command, InvalidArgumentError, Option } from 'commander';
import type { SetExit } from '../program.ts';

/** Of the table in docs/sandbox.md. */
const LAST_ROW = 69;

export interface SelftestOptions {
  readonly backend: 'auto' | 'namespace' | 'docker';
  readonly image?: string;
  readonly root?: string;
  readonly row?: string;
  readonly raceSeconds?: number;
  readonly json?: boolean;
}

export function selftestCommand(setExit: SetExit): Command {
  return new Command('selftest')
    .description('attack the sandbox of this host, and see that it holds')
    .addOption(new Option('--backend <name>', 'which sandbox').choices(['auto', 'namespace', 'docker']).default('auto'))
    .option('--image <name>', 'docker: the image')
    .option('--root <dir>', "namespace: a root folder in place of the host's /usr")
    .option('--row <row>', 'only the probes of one row of the threat list: B5', parseRow)
    .option('--race-seconds <n>', 'how long row B13 swaps the path under an open (default: 5)', parseSeconds)
    .option(
      '--json',
      'print { ok, backend, probes: [{ row, name, refused, counted, control, gone, ok, seen }], left_out }',
    )
    .addHelpText(
      'after',
      `
Each probe runs in a sandbox of its own and must be refused there, be counted
where there is a counter, leave nothing, and get through outside: a probe that
works nowhere proves nothing. It needs a C compiler.

Exit code 1 when one does not hold.

Examples:
  keywarden selftest
  keywarden selftest --row B13 --race-seconds 60`,
    )
    .action(async (options: SelftestOptions) => {
      const { attack } = await import('./selftest-attack.ts');
      setExit(await attack(options));
    });
}

function parseRow(text: string): string {
  const row = /^B?(\d{1,2})$/i.exec(text)?.[1];
  if (row === undefined || Number(row) < 1 || Number(row) > LAST_ROW)
    throw new InvalidArgumentError(`Write a row from B1 to B${LAST_ROW}.`);
  return `B${Number(row)}`;
}

function parseSeconds(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('Write a number of seconds.');
  return Number(text);
}
