import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { Backend, Counters, Exit, Leftover, Sandbox, Trace } from '../../../src/sandbox/backend.ts';
import { startTimeOf } from '../../../src/state/process-identity.ts';

/**
 * A backend that isolates nothing and outlives its runner: real processes, found by a label in their environment. With it the
 * session's own life is tested on its own: nothing here dies by itself, so whatever ends was ended by the session or its sweep.
 */
export interface PlainOptions {
  readonly counters?: Counters;
  /** Awaited in `start`, before and after the process is there. */
  readonly delayMs?: number;
  readonly failWith?: string;
}

const NOTHING: Counters = { denied: [], observed: [], blocked: [], dropped: 0, sources: [] };
const LABEL = 'PLAIN_SESSION';

export function plainBackend(options: PlainOptions = {}): Backend {
  return {
    name: 'namespace',
    layers: async () => [{ name: 'processes', present: true, detail: '', mend: null, required: true }],
    plan: async (spec) => [{ does: 'start the program', argv: spec.argv }],
    async start(spec, events): Promise<Sandbox> {
      await new Promise((resolve) => setTimeout(resolve, options.delayMs ?? 0));
      if (options.failWith !== undefined) throw new Error(options.failWith);
      const [command = '', ...args] = spec.argv;
      const piped = spec.streams.kind === 'piped';
      const child = spawn(command, args, {
        env: { ...spec.env, [LABEL]: spec.session },
        detached: true,
        stdio: piped ? ['ignore', 'pipe', 'pipe'] : 'inherit',
      });
      const exited = new Promise<Exit>((resolve) => {
        child.on('error', () => resolve({ code: 127, signal: null, outOfMemory: false }));
        child.on('close', (code, signal) =>
          resolve({ code: code ?? 128 + constants.signals[signal ?? 'SIGKILL'], signal, outOfMemory: false }),
        );
      });
      if (spec.streams.kind === 'piped') {
        child.stdout?.pipe(spec.streams.stdout, { end: false });
        child.stderr?.pipe(spec.streams.stderr, { end: false });
      }
      const pid = child.pid;
      if (pid !== undefined) await events.traced({ kind: 'process', pid, startTime: startTimeOf(pid) ?? '' });
      return {
        exited,
        counters: () => options.counters ?? NOTHING,
        signal: async (name) => void (pid !== undefined && tryKill(-pid, name)),
        kill: async () => {
          for (const found of labelled(spec.session)) tryKill(found, 'SIGKILL');
          await exited;
        },
        resize: async () => {},
      };
    },
    leftovers: async (session, traces) => leftoversOf(session, traces),
    async sweep(session, traces) {
      for (const pid of labelled(session)) tryKill(pid, 'SIGKILL');
      for (const trace of traces) {
        if (trace.kind === 'process' && startTimeOf(trace.pid) === trace.startTime) tryKill(trace.pid, 'SIGKILL');
      }
    },
  };
}

const leftoversOf = (session: string, traces: readonly Trace[]): Leftover[] => [
  ...labelled(session).map((pid): Leftover => ({ kind: 'process', name: String(pid) })),
  ...traces.flatMap((trace): Leftover[] =>
    trace.kind === 'process' && startTimeOf(trace.pid) === trace.startTime && !isZombie(trace.pid)
      ? [{ kind: 'process', name: String(trace.pid) }]
      : [],
  ),
];

/** Living processes that bear the session's label. */
export function labelled(session: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const has = readFileSync(`/proc/${name}/environ`, 'latin1').split('\0').includes(`${LABEL}=${session}`);
      return has && !isZombie(Number(name)) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return true;
  }
}

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone.
  }
}
