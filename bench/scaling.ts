import { join } from 'node:path';
import { OPERATIONS } from './contenders.ts';
import { type Built, build, copyStorage, fillStorage, startKeywarden } from './keywarden.ts';
import { load } from './load.ts';
import { checkAnswer, measure, type Sample } from './measure.ts';

/** Keywarden as it is measured for "more of it does not make it slower". */
export interface Variant {
  readonly name: 'base' | 'fewOperations' | 'manyRows';
  readonly operations: number;
  readonly rows: number;
  readonly samples: Sample[];
}

export interface ScalingOptions {
  readonly directory: string;
  readonly upstream: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly manyRows: number;
  readonly say: (line: string) => void;
}

/**
 * 10 against 1,000 operations and 10 against many stored rows. Every round starts each variant anew on a copy of its
 * storage, since the measuring itself makes rows.
 */
export async function measureScaling(options: ScalingOptions): Promise<Variant[]> {
  const { directory, upstream, say } = options;
  const built = new Map<number, Built>();
  for (const operations of [10, OPERATIONS]) built.set(operations, await build(directory, upstream, operations));
  const prepared: { variant: Variant; built: Built; storage: string }[] = [];
  for (const [name, operations, rows] of [
    ['base', OPERATIONS, 10],
    ['fewOperations', 10, 10],
    ['manyRows', OPERATIONS, options.manyRows],
  ] as const) {
    const code = built.get(operations) as Built;
    const storage = join(directory, `filled-${name}`);
    say(`scaling: filling ${rows} rows`);
    prepared.push({
      variant: { name, operations, rows: await fillStorage(code, storage, rows), samples: [] },
      built: code,
      storage,
    });
  }
  for (let round = 0; round < options.rounds; round++) {
    say(`scaling: round ${round + 1} of ${options.rounds}`);
    for (const { variant, built: code, storage } of rotated(prepared, round)) {
      const copy = copyStorage(storage, join(directory, `round-${round}-${variant.name}`));
      const keywarden = await startKeywarden(code, copy);
      try {
        await checkAnswer(variant.name, keywarden.target);
        await load(keywarden.target, 16, Math.max(1, Math.floor(options.seconds / 2)));
        for (const connections of [1, 16]) {
          variant.samples.push(
            await measure({ target: keywarden.target, pids: [keywarden.pid] }, round, connections, options.seconds),
          );
        }
      } finally {
        await keywarden.stop();
      }
    }
  }
  return prepared.map(({ variant }) => variant);
}

/** Another begins each time, so that no place in the order is always the same one's. */
export function rotated<T>(list: readonly T[], by: number): T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
