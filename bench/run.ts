/** `npm run bench`: Keywarden against its peers, in front of one upstream, on this machine. Exit code 1 when a gate fails. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleGzipBytes } from './bundle-size.ts';
import { CONTENDERS, type Contender, type ContenderName, CREDENTIAL } from './contenders.ts';
import { gatesOf, type Samples } from './gates.ts';
import { load } from './load.ts';
import { checkAnswer, measure, type Sample } from './measure.ts';
import { startUpstream } from './nginx.ts';
import { gatesTableOf, machineText, scalingTableOf, tableOf } from './report.ts';
import { measureScaling, rotated, type Variant } from './scaling.ts';

const HELP = `Usage: npm run bench -- [options]

  --quick          short rounds: to see that it works, not for figures
  --only A,B       of: direct nginx bare object keywarden scaling bundle
  --rounds N       rounds (7, of scaling 13; quick 3)
  --seconds N      seconds of each measurement (3; quick 1)
  --json FILE      all samples as JSON
  --help`;

const PARTS = [...(Object.keys(CONTENDERS) as ContenderName[]), 'scaling', 'bundle'] as const;
type Part = (typeof PARTS)[number];
const CONNECTIONS = [1, 16, 64];

interface Options {
  readonly parts: ReadonlySet<Part>;
  readonly rounds: number;
  /** More, for its bounds are narrow beside what two starts of one Worker differ by. */
  readonly scalingRounds: number;
  readonly seconds: number;
  readonly manyRows: number;
  readonly json: string | null;
}

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === null) return 2;
  const missing = ['nginx', 'wrk'].filter((command) => !isInstalled(command));
  if (missing.length > 0) {
    console.error(`bench: error: ${missing.join(' and ')} not found\nbench: hint: apt-get install nginx wrk`);
    return 2;
  }
  const [load1 = 0] = loadavg();
  if (load1 > 0.5) say(`the machine is busy (load ${load1.toFixed(1)}): ratios hold better than figures`);
  const directory = mkdtempSync(join(tmpdir(), 'keywarden-bench-'));
  const stops: (() => Promise<void>)[] = [];
  try {
    const upstream = await startUpstream(join(directory, 'upstream'), CREDENTIAL);
    stops.push(upstream.stop);
    const samples = await measureContenders(options, upstream.url, directory, stops);
    const variants = options.parts.has('scaling')
      ? await measureScaling({ ...options, rounds: options.scalingRounds, directory, upstream: upstream.url, say })
      : null;
    const gzipBytes = options.parts.has('bundle') ? bundleGzipBytes(directory) : null;
    return report(options, samples, variants, gzipBytes);
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measureContenders(
  options: Options,
  upstream: string,
  directory: string,
  stops: (() => Promise<void>)[],
): Promise<Samples> {
  const contenders: Contender[] = [];
  for (const name of Object.keys(CONTENDERS) as ContenderName[]) {
    if (!options.parts.has(name)) continue;
    say(`starting: ${CONTENDERS[name].title}`);
    const contender = await CONTENDERS[name].start({ upstream, directory });
    stops.push(contender.stop);
    contenders.push(contender);
    await checkAnswer(name, contender.target);
    // Compiled code and open connections, not a cold start, are what is compared.
    await load(contender.target, 16, Math.max(1, options.seconds));
  }
  const samples = Object.fromEntries(contenders.map(({ name }) => [name, [] as Sample[]]));
  for (let round = 0; round < options.rounds && contenders.length > 0; round++) {
    say(`round ${round + 1} of ${options.rounds}`);
    for (const connections of CONNECTIONS) {
      for (const contender of rotated(contenders, round)) {
        samples[contender.name]?.push(await measure(contender, round, connections, options.seconds));
      }
    }
  }
  for (const { name, target } of contenders) await checkAnswer(name, target);
  return samples;
}

function report(
  options: Options,
  samples: Samples,
  variants: readonly Variant[] | null,
  gzipBytes: number | null,
): number {
  const gates = gatesOf(samples, variants, gzipBytes);
  const machine = machineText();
  const about = `Medians of ${options.rounds} interleaved rounds of ${options.seconds} s. ${machine}.`;
  const tables = [about, tableOf(samples), variants === null ? null : scalingTableOf(variants), gatesTableOf(gates)];
  console.log(tables.filter((table) => table !== null).join('\n\n'));
  if (options.json !== null) {
    writeFileSync(
      options.json,
      `${JSON.stringify({ machine, rounds: options.rounds, seconds: options.seconds, samples, variants, gzipBytes, gates }, null, 2)}\n`,
    );
  }
  return gates.some(({ passed }) => passed === false) ? 1 : 0;
}

function readOptions(): Options | null {
  const refuse = (why: string): null => {
    console.error(`bench: error: ${why}\n${HELP}`);
    return null;
  };
  let values: { quick?: boolean; only?: string; rounds?: string; seconds?: string; json?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    return refuse((error as Error).message);
  }
  if (values.help === true) {
    console.log(HELP);
    process.exit(0);
  }
  const quick = values.quick === true;
  const parts = values.only === undefined ? [...PARTS] : values.only.split(',');
  const strange = parts.find((part) => !(PARTS as readonly string[]).includes(part));
  if (strange !== undefined) return refuse(`--only knows no ${strange}`);
  const rounds = Number(values.rounds ?? (quick ? 3 : 7));
  const seconds = Number(values.seconds ?? (quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seconds) || seconds < 1)
    return refuse('--rounds and --seconds are whole numbers from 1');
  return {
    parts: new Set(parts as Part[]),
    rounds,
    scalingRounds: values.rounds === undefined && !quick ? 13 : rounds,
    seconds,
    manyRows: quick ? 10_000 : 100_000,
    json: values.json ?? null,
  };
}

function isInstalled(command: string): boolean {
  try {
    execFileSync('/bin/sh', ['-c', `command -v ${command}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function say(line: string): void {
  console.error(`bench: ${line}`);
}
