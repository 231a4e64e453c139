import { Command, Option } from 'commander';
import { EXIT } from '../../failure.ts';
import { chooseBackend } from '../../session/choose-backend.ts';
import type { SetExit } from '../program.ts';
import { coloured, print, printJson } from '../terminal.ts';

interface SelftestOptions {
  readonly backend: 'auto' | 'namespace' | 'docker';
  readonly image?: string;
  readonly root?: string;
  readonly row?: string;
  readonly json?: boolean;
}

export function selftestCommand(setExit: SetExit): Command {
  return new Command('selftest')
    .description('attack the sandbox of this host, and see that it holds')
    .addOption(new Option('--backend <name>', 'which sandbox').choices(['auto', 'namespace', 'docker']).default('auto'))
    .option('--image <name>', 'docker: the image; it needs python3')
    .option('--root <dir>', "namespace: a root folder in place of the host's /usr")
    .option('--row <row>', 'only the probes of one row of the threat list: B5')
    .option('--json', 'print { ok, backend, probes: [{ row, name, refused, counted, control, gone, ok }] }')
    .addHelpText(
      'after',
      `
Each probe runs in a sandbox of its own and must be refused there, be counted where there is a counter,
leave nothing, and work outside: a probe that works nowhere proves nothing. It needs python3.

Exit code 1 when one does not hold.`,
    )
    .action(async (options: SelftestOptions) => setExit(await attack(options)));
}

async function attack(options: SelftestOptions): Promise<number> {
  const { selftest } = await import('../../sandbox/selftest/selftest.ts');
  const { backend } = await chooseBackend(options.backend);
  const probes = [];
  if (!options.json) print(`${'ROW'.padEnd(5)} ${'PROBE'.padEnd(46)} REFUSED  COUNTED  OUTSIDE  GONE`);
  for await (const probe of selftest(backend, options.root ?? options.image ?? null, options.row ?? null)) {
    probes.push(probe);
    if (options.json) continue;
    const cell = (held: boolean | null): string => (held === null ? '-' : held ? 'yes' : 'NO').padEnd(8);
    const outside = (probe.control ? 'works' : 'FAILS').padEnd(8);
    const line = `${probe.row.padEnd(5)} ${probe.name.padEnd(46)} ${cell(probe.refused)} ${cell(probe.counted)} ${outside} ${cell(probe.gone)}`;
    print(probe.ok ? line : coloured('red', line));
  }
  const ok = probes.length > 0 && probes.every((probe) => probe.ok);
  if (options.json) printJson({ ok, backend: backend.name, probes });
  else print(ok ? `ok: the ${backend.name} sandbox held ${probes.length} attacks` : 'NOT ok');
  return ok ? EXIT.ok : EXIT.negative;
}
