/**
 * Is a change to the Worker faster? Builds Keywarden from several source trees and measures them in turns.
 *
 *   git worktree add ../before HEAD~1 && node bench/compare.ts [--connections 16] [--rounds 10] [--seconds 1] ../before/src src
 *
 * A tree must stand where its imports find node_modules. The first line is the bare Worker with one empty object call;
 * ratios are to it, within one round, so that a busy machine matters less.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CONTENDERS, CREDENTIAL, OPERATIONS } from './contenders.ts';
import { build, startKeywarden } from './keywarden.ts';
import { load } from './load.ts';
import { checkAnswer, type Measured, measure, medianOf, pairedMedian, type Sample } from './measure.ts';
import { startUpstream } from './nginx.ts';
import { rotated } from './scaling.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    connections: { type: 'string', default: '16' },
    rounds: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '1' },
  },
});
const connections = Number(values.connections);
const directory = mkdtempSync(join(tmpdir(), 'keywarden-compare-'));
const upstream = await startUpstream(join(directory, 'upstream'), CREDENTIAL);
const object = await CONTENDERS.object.start({ upstream: upstream.url, directory });
const stops = [upstream.stop, object.stop];
const runners: (Measured & { name: string; samples: Sample[] })[] = [{ ...object, samples: [] }];
try {
  for (const [i, tree] of positionals.entries()) {
    const built = await build(directory, upstream.url, OPERATIONS, resolve(tree, 'index.ts'));
    const keywarden = await startKeywarden(built, join(directory, `storage-${i}`));
    stops.push(keywarden.stop);
    runners.push({ name: tree, target: keywarden.target, pids: [keywarden.pid], samples: [] });
  }
  for (const { name, target } of runners) {
    await checkAnswer(name, target);
    await load(target, connections, 2);
  }
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const runner of rotated(runners, round)) {
      runner.samples.push(await measure(runner, round, connections, Number(values.seconds)));
    }
  }
  for (const { name, samples } of runners) {
    const of = (quantity: 'p50Ms' | 'requestsPerSecond' | 'cpuMicros'): number =>
      medianOf(samples.map((s) => s[quantity] ?? Number.NaN));
    const ratio = (quantity: 'requestsPerSecond' | 'cpuMicros'): string =>
      pairedMedian(samples, runners[0]?.samples ?? [], connections, quantity, (a, b) => a / b).median.toFixed(3);
    const figures = `p50 ${of('p50Ms').toFixed(2)} ms, ${of('requestsPerSecond').toFixed(0)}/s (× ${ratio('requestsPerSecond')})`;
    console.log(`${name.padEnd(24)} ${figures}, CPU ${of('cpuMicros').toFixed(0)} µs (× ${ratio('cpuMicros')})`);
  }
} finally {
  for (const stop of stops.reverse()) await stop();
  rmSync(directory, { recursive: true, force: true });
}
