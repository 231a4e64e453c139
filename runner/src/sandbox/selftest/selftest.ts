import type { Backend } from '../backend.ts';
import type { Outcome, Probe } from './attack.ts';
import { PROBES } from './probes.ts';
import { World } from './world.ts';

/** What one probe showed. */
export interface ProbeResult {
  /** `B5`: row of the threat list (docs/sandbox.md names the attacks). */
  readonly row: string;
  readonly name: string;
  /** The attack did not succeed inside. */
  readonly refused: boolean;
  /** It was counted; null: there is no counter for it. */
  readonly counted: boolean | null;
  /** The same try works outside: the probe can tell. */
  readonly control: boolean;
  /** Nothing of its sandbox was left. */
  readonly gone: boolean;
  readonly ok: boolean;
  /** The same in words and numbers. */
  readonly seen: { readonly inside: string; readonly counter: string; readonly outside: string };
}

/** The race of B13 for a look; `--race-seconds` makes it longer. */
const RACE_SECONDS = 5;

/**
 * Attacks real sandboxes of the backend, one after another, each probe in a sandbox of its own.
 *
 * @param root  A root folder or an image; null: the backend's default.
 * @param row  Only the probes of one row, `B5`; null: all.
 * @throws what the backend throws when it cannot start one.
 */
export async function* selftest(
  backend: Backend,
  root: string | null,
  row: string | null,
  raceSeconds: number = RACE_SECONDS,
): AsyncGenerator<ProbeResult> {
  const wanted = PROBES.filter((probe) => row === null || nameOf(probe) === row);
  if (wanted.length === 0) return;
  const world = await World.open(backend, { root, raceSeconds });
  try {
    // One that tries nothing: what cannot be started is told as that, not as attacks that nothing stopped.
    await (await world.start([])).ended;
    for (const probe of wanted) yield await tried(world, probe);
  } finally {
    await world.close();
  }
}

const nameOf = (probe: Probe): string => `B${probe.row}`;

async function tried(world: World, probe: Probe): Promise<ProbeResult> {
  world.left.length = 0;
  const outcome = await probe.run(world).catch((error: Error) => unproven(error));
  const result = {
    row: nameOf(probe),
    name: probe.name,
    refused: outcome.effectHolds,
    counted: outcome.counter === '-' ? null : outcome.counterHolds,
    control: outcome.controlHolds,
    gone: world.left.length === 0,
  };
  return {
    ...result,
    ok: result.refused && result.counted !== false && result.control && result.gone,
    seen: { inside: outcome.effect, counter: outcome.counter, outside: outcome.control },
  };
}

/** A probe that could not be made proves nothing. */
const unproven = (error: Error): Outcome => ({
  effect: `failed: ${error.message.slice(0, 200)}`,
  effectHolds: false,
  counter: '-',
  counterHolds: true,
  control: 'not tried',
  controlHolds: false,
});
