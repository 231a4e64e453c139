import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { inProject } from '../runner/src/project.ts';
import { CONTENDERS, type ContenderName } from './contenders.ts';
import type { Gate, Samples } from './gates.ts';
import { medianAt } from './measure.ts';
import type { Variant } from './scaling.ts';

/** The machine and the versions that the figures hold for. */
export function machineText(): string {
  const [first] = cpus();
  const { version: workerd } = JSON.parse(readFileSync(inProject('node_modules/workerd/package.json'), 'utf8')) as {
    version: string;
  };
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${first?.model.trim() ?? 'unknown CPU'}, ${memory} GiB, Linux ${release()}, Node ${process.version}, workerd ${workerd}`;
}

export function tableOf(samples: Samples): string | null {
  if (Object.keys(samples).length === 0) return null;
  const head = [
    'contender',
    'p50 at 1, ms',
    'p99 at 1, ms',
    'req/s at 16',
    'CPU µs/req at 16',
    'p50 at 16, ms',
    'p99 at 16, ms',
    'req/s at 64',
    'CPU µs/req at 64',
  ];
  const rows = (Object.keys(CONTENDERS) as ContenderName[]).flatMap((name) => {
    const own = samples[name];
    if (own === undefined) return [];
    const cell = (connections: number, quantity: Parameters<typeof medianAt>[2], digits: number): string => {
      const value = medianAt(own, connections, quantity);
      return value === null
        ? '–'
        : value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
    };
    return [
      [
        CONTENDERS[name].title,
        cell(1, 'p50Ms', 2),
        cell(1, 'p99Ms', 2),
        cell(16, 'requestsPerSecond', 0),
        cell(16, 'cpuMicros', 0),
        cell(16, 'p50Ms', 2),
        cell(16, 'p99Ms', 2),
        cell(64, 'requestsPerSecond', 0),
        cell(64, 'cpuMicros', 0),
      ],
    ];
  });
  return markdown(head, rows);
}

export function scalingTableOf(variants: readonly Variant[]): string {
  return markdown(
    ['Keywarden with', 'p50 at 1, ms', 'req/s at 16', 'CPU µs/req at 16'],
    variants.map(({ operations, rows, samples }) => [
      `${operations.toLocaleString('en-US')} operations, ${rows.toLocaleString('en-US')} rows at the start`,
      medianAt(samples, 1, 'p50Ms')?.toFixed(2) ?? '–',
      medianAt(samples, 16, 'requestsPerSecond')?.toLocaleString('en-US', { maximumFractionDigits: 0 }) ?? '–',
      medianAt(samples, 16, 'cpuMicros')?.toFixed(0) ?? '–',
    ]),
  );
}

export function gatesTableOf(gates: readonly Gate[]): string {
  const word = (passed: boolean | null): string => (passed === null ? '–' : passed ? 'PASS' : '**FAIL**');
  return markdown(
    ['gate', 'found (least–most of the rounds)', ''],
    gates.map(({ text, found, passed }) => [text, found ?? 'not measured', word(passed)]),
    1,
  );
}

/** @param leftmost  how many columns hold text. */
function markdown(head: readonly string[], rows: readonly (readonly string[])[], leftmost = 1): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i < leftmost ? '---' : '--:'))), ...rows.map(line)].join('\n');
}
