import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT } from '../../failure.ts';
import type { ProbeResult } from '../../sandbox/selftest/selftest.ts';
import { chooseBackend } from '../../session/choose-backend.ts';
import type { SetExit } from '../program.ts';
import { coloured, harmlessLine, print, printJson } from '../terminal.ts';

interface SelftestOptions {
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
    .option('--row <row>', 'only the probes of one row of the threat list: B5')
    .option('--race-seconds <n>', 'how long row B13 swaps the path under an open (default: 5)', parseSeconds)
    .option(
      '--json',
      'print { ok, backend, probes: [{ row, name, refused, counted, control, gone, ok, seen }], left_out }',
    )
    .addHelpText(
      'after',
      `
Each probe runs in a sandbox of its own and must be refused there, be counted where there is a counter,
leave nothing, and get through outside: a probe that works nowhere proves nothing. It needs a C compiler.

Exit code 1 when one does not hold.

Examples:
  keywarden selftest
  keywarden selftest --row B13 --race-seconds 60`,
    )
    .action(async (options: SelftestOptions) => setExit(await attack(options)));
}

async function attack(options: SelftestOptions): Promise<number> {
  const { selftest } = await import('../../sandbox/selftest/selftest.ts');
  const { LEFT_OUT } = await import('../../sandbox/selftest/left-out.ts');
  const { backend } = await chooseBackend(options.backend);
  const probes: ProbeResult[] = [];
  if (!options.json) print(`${'ROW'.padEnd(5)} ${'PROBE'.padEnd(50)} REFUSED  COUNTED  OUTSIDE  GONE`);
  const root = options.root ?? options.image ?? null;
  for await (const probe of selftest(backend, root, options.row ?? null, options.raceSeconds)) {
    probes.push(probe);
    if (!options.json) printProbe(probe);
  }
  const ok = probes.length > 0 && probes.every((probe) => probe.ok);
  if (options.json) printJson({ ok, backend: backend.name, probes, left_out: LEFT_OUT });
  else if (probes.length > 0) print(ok ? `ok: the ${backend.name} sandbox held ${probes.length} attacks` : 'NOT ok');
  else for (const { rows, why } of LEFT_OUT) print(`rows ${rows} have no probe: ${why}`);
  return ok ? EXIT.ok : EXIT.negative;
}

function printProbe(probe: ProbeResult): void {
  const cell = (held: boolean | null): string => (held === null ? '-' : held ? 'yes' : 'NO').padEnd(8);
  const outside = (probe.control ? 'works' : 'FAILS').padEnd(8);
  print(
    coloured(
      probe.ok ? 'green' : 'red',
      `${probe.row.padEnd(5)} ${probe.name.padEnd(50)} ${cell(probe.refused)} ${cell(probe.counted)} ${outside} ${cell(probe.gone)}`,
    ),
  );
  const { inside, counter, outside: control } = probe.seen;
  if (!probe.ok) print(harmlessLine(`      inside: ${inside}; counter: ${counter}; outside: ${control}`));
}

function parseSeconds(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('Write a number of seconds.');
  return Number(text);
}
