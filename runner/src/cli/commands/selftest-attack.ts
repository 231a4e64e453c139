import { counted } from '../../counted.ts';
import { EXIT } from '../../failure.ts';
import { LEFT_OUT } from '../../sandbox/selftest/left-out.ts';
import { type ProbeResult, selftest } from '../../sandbox/selftest/selftest.ts';
import { chooseBackend, wantedBackend } from '../../session/choose-backend.ts';
import { rootFolder } from '../../session/prepare.ts';
import { coloured, harmlessLine, print, printJson } from '../terminal.ts';
import type { SelftestOptions } from './selftest.ts';

export async function attack(options: SelftestOptions): Promise<number> {
  const { image = null, root: folder = null } = options;
  const { backend } = await chooseBackend(wantedBackend({ backend: options.backend, image, root: folder }));
  const probes: ProbeResult[] = [];
  const root = folder === null ? image : rootFolder(folder);
  for await (const probe of selftest(backend, root, options.row ?? null, options.raceSeconds)) {
    if (!options.json) {
      if (probes.length === 0) print(`${'ROW'.padEnd(5)} ${'PROBE'.padEnd(50)} REFUSED  COUNTED  OUTSIDE  GONE`);
      printProbe(probe);
    }
    probes.push(probe);
  }
  const ok = probes.length > 0 && probes.every((probe) => probe.ok);
  if (options.json) printJson({ ok, backend: backend.name, probes, left_out: LEFT_OUT });
  else if (probes.length > 0)
    print(ok ? `ok: the ${backend.name} sandbox held ${counted(probes.length, 'attack')}` : 'NOT ok');
  else
    for (const { rows, why } of LEFT_OUT) print(`no probe of ${/^\d+$/.test(rows) ? 'row' : 'rows'} ${rows}: ${why}`);
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
