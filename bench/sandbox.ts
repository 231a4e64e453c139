/**
 * What does the sandbox cost?
 *
 *   node bench/sandbox.ts [--rounds 15] [--sessions 50]
 *
 * Ratios measured side by side in one run: the backend around `true` against plain bwrap with the same mounts; opens, git and npm
 * inside against outside; many sandboxes at once. Token and edge are not part of it: `keywarden run --timings` tells those.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { parseArgs } from 'node:util';
import { namespaceBackend } from '../runner/src/sandbox/namespace/backend.ts';
import { median, openPlace, row as printRow, TABLE_HEAD } from './in-sandbox.ts';
import { machineText } from './report.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, sessions: { type: 'string', default: '50' } },
});
const rounds = Number(values.rounds);
const backend = namespaceBackend();
const { directory, specOf, inside, close } = openPlace(backend);
let failed = false;
function row(...line: Parameters<typeof printRow>): void {
  if (!printRow(...line)) failed = true;
}

try {
  console.log(`${machineText()}\n\n${TABLE_HEAD}`);
  await inside(['true']);
  const ours: number[] = [];
  const plain: number[] = [];
  const planned = specOf(['true'], new PassThrough());
  const argv = (await backend.plan(planned)).find((step) => step.argv !== undefined)?.argv ?? [];
  const bwrap = argv.slice(argv.findIndex((one) => one.endsWith('/bwrap')));
  // The same mounts, without what is ours: helper, sockets, decoys (not laid down for a plan).
  const kept = withoutOwn(bwrap.slice(0, bwrap.lastIndexOf('--', bwrap.indexOf('init'))), planned.folder);
  for (let round = 0; round < rounds; round++) {
    let begun = performance.now();
    await inside(['true']);
    ours.push(performance.now() - begun);
    begun = performance.now();
    const ran = spawnSync(kept[0] as string, [...kept.slice(1), '--', 'true']);
    plain.push(performance.now() - begun);
    if (ran.status !== 0) throw new Error(`plain bwrap: ${ran.stderr}`);
  }
  row('`true`, against plain bwrap with the same mounts', median(ours), median(plain), 3);

  const work = join(directory, 'work');
  mkdirSync(work);
  writeFileSync(join(work, 'opens.c'), OPENS());
  execFileSync('cc', ['-O2', '-static', '-o', join(work, 'opens'), join(work, 'opens.c')]);
  const mounts = [{ source: work, destination: '/work', writable: false }];
  for (const [name, outer, inner] of [
    ['open and close of a system file', '/usr/bin/env', '/usr/bin/env'],
    ["open and close of a file of one's own", join(work, 'opens.c'), '/work/opens.c'],
  ] as const) {
    const [mine, other] = await sideBySide(rounds, {
      mine: async () => Number(await inside(['/work/opens', inner], mounts)),
      other: () => Number(execFileSync(join(work, 'opens'), [outer], { encoding: 'utf8' })),
    });
    row(name, mine, other, 6, 'µs');
  }

  execFileSync('git', ['init', '-q', work]);
  for (let i = 0; i < 900; i++) writeFileSync(join(work, `file-${i}`), 'x');
  // Of a file as young as the index git reads the content, too: that is no status of a tree at rest.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  execFileSync('git', ['-C', work, 'add', '-A']);
  const timed = (command: string): string =>
    `import subprocess,time\nr=[]\nfor _ in range(5):\n t=time.time(); subprocess.run(${JSON.stringify(command)},shell=True,check=True,stdout=subprocess.DEVNULL); r.append(time.time()-t)\nprint(sorted(r)[2]*1000)`;
  for (const [name, at] of [
    ['git status of 900 files', (folder: string) => `git -c safe.directory=* -C ${folder} status`],
    ['npm --version', () => 'npm --version'],
  ] as const) {
    const [mine, other] = await sideBySide(Math.ceil(rounds / 3), {
      mine: async () => Number(await inside(['python3', '-c', timed(at('/work'))], mounts)),
      other: () => Number(execFileSync('python3', ['-c', timed(at(work))], { encoding: 'utf8' })),
    });
    row(`\`${name}\``, mine, other, 1.6);
  }

  const count = Number(values.sessions);
  // All of them write there.
  process.stderr.setMaxListeners(0);
  const free = (): number => Number(/MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) / 1024;
  const before = free();
  let lowest = before;
  const watching = setInterval(() => (lowest = Math.min(lowest, free())), 50);
  const begun = performance.now();
  await Promise.all(Array.from({ length: count }, () => inside(['sleep', '3'])));
  clearInterval(watching);
  console.log(
    `\n${count} sandboxes at once, each \`sleep 3\`: all ended and were swept after ${((performance.now() - begun) / 1000).toFixed(1)} s; ${((before - lowest) / count).toFixed(1)} MiB each.`,
  );
} finally {
  close();
}
process.exitCode = failed ? 1 : 0;

/** Turn by turn, so that what else the machine does falls on both; the median of each. */
async function sideBySide(
  times: number,
  { mine, other }: { mine: () => Promise<number>; other: () => number },
): Promise<[number, number]> {
  const found: [number[], number[]] = [[], []];
  for (let round = 0; round < times; round++) {
    found[0].push(await mine());
    found[1].push(other());
  }
  return [median(found[0]), median(found[1])];
}

/** Drops binds from the session's own folder: for a plan nothing was laid down there. */
function withoutOwn(argv: readonly string[], own: string): string[] {
  const kept: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const one = argv[i] as string;
    const source = argv[i + 1] ?? '';
    if (/^--(ro-|dev-)?bind$/.test(one) && (source.startsWith(own) || source.includes('keywarden-helper'))) i += 2;
    else kept.push(one);
  }
  return kept;
}

function OPENS(): string {
  return `#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
/* The quietest of many short batches: what the call costs, not what interrupted it. */
int main(int c, char **v) {
  struct timespec a, b;
  double best = 1e9;
  for (int batch = 0; batch < 40; batch++) {
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < 500; i++) { int f = open(v[c - 1], O_RDONLY); if (f < 0) return 1; close(f); }
    clock_gettime(CLOCK_MONOTONIC, &b);
    double took = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / 500 / 1e3;
    if (took < best) best = took;
  }
  printf("%.3f\\n", best);
}
`;
}
