import type { Counters } from '../backend.ts';
import type { Inside, World } from './world.ts';

/** One line of the table. */
export interface Outcome {
  readonly effect: string;
  readonly effectHolds: boolean;
  readonly counter: string;
  readonly counterHolds: boolean;
  readonly control: string;
  readonly controlHolds: boolean;
}

export interface Probe {
  /** Of the table in docs/sandbox.md. */
  readonly row: number;
  readonly name: string;
  readonly run: (world: World) => Promise<Outcome>;
}

/** What must have been counted: at least so many, in sum over system calls, or of one of the system calls. */
export type Counted =
  | { readonly pathClass: string; readonly atLeast?: number }
  | { readonly syscalls: readonly string[] }
  /** Refused by what stands (mounts, modes, namespaces) and not by the supervisor: there is nothing to count. */
  | null;

interface Attack {
  readonly row: number;
  readonly name: string;
  readonly probe: readonly string[] | ((world: World) => readonly string[]);
  readonly counted: Counted;
  readonly inside?: Inside | ((world: World) => Inside);
  /** What is run outside; by default the same. */
  readonly control?: readonly string[] | ((world: World) => readonly string[]);
  readonly controlEnv?: (world: World) => Record<string, string>;
  readonly extraFd?: boolean;
  /** Only root gets through outside: to an ordinary user the host itself says no, and the control cannot be had. */
  readonly controlNeedsRoot?: boolean;
}

/** The usual shape: a probe that gets through nowhere inside, and somewhere outside. */
export const attack = ({ row, name, ...how }: Attack): Probe => ({
  row,
  name,
  async run(world) {
    const of = <T extends object>(value: T | ((world: World) => T)): T =>
      typeof value === 'function' ? (value as (world: World) => T)(world) : value;
    const probe = of(how.probe);
    const running = await world.start(probe, of(how.inside ?? {}));
    const { through, attempts, exit, counters } = await running.ended;
    // One that does not even try proves nothing: 1 is "tried, and nothing got through".
    const tried = exit.code === 1 && attempts > 0;
    const outside = await world.outside(of(how.control ?? probe), {
      ...(how.controlEnv === undefined ? {} : { env: how.controlEnv(world) }),
      extraFd: how.extraFd === true,
    });
    return {
      effect: through.length > 0 ? `through: ${through.join(', ')}` : tried ? `0 of ${attempts}` : `exit ${exit.code}`,
      effectHolds: tried && through.length === 0,
      ...counterOf(counters, how.counted),
      ...controlOf(outside.through, outside.attempts, how.controlNeedsRoot === true),
    };
  },
});

export function counterOf(counters: Counters, counted: Counted): Pick<Outcome, 'counter' | 'counterHolds'> {
  if (counted === null) return { counter: '-', counterHolds: true };
  if (counters.sources.length === 0) return { counter: 'no live source', counterHolds: false };
  if ('pathClass' in counted) {
    const sum = counters.denied
      .filter((row) => row.pathClass === counted.pathClass)
      .reduce((all, { count }) => all + count, 0);
    return { counter: `denied ${counted.pathClass} ${sum}`, counterHolds: sum >= (counted.atLeast ?? 1) };
  }
  const missing = counted.syscalls.filter((name) => !counters.blocked.some((row) => row.syscall === name));
  return {
    counter: missing.length === 0 ? `blocked ${counted.syscalls.join(', ')}` : `not counted: ${missing.join(', ')}`,
    counterHolds: missing.length === 0,
  };
}

export function controlOf(
  through: readonly string[],
  attempts: number,
  needsRoot: boolean,
): Pick<Outcome, 'control' | 'controlHolds'> {
  if (through.length > 0) return { control: `${through.length} of ${attempts}`, controlHolds: true };
  const excused = needsRoot && process.getuid?.() !== 0;
  return { control: excused ? 'only root can' : `0 of ${attempts}`, controlHolds: excused };
}
