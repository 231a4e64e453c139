import { readFileSync, unlinkSync } from 'node:fs';
import { counted } from '../counted.ts';
import { Failure } from '../failure.ts';
import { policyPlaces } from '../policy/policy-files.ts';
import { takeLock } from '../state/lock.ts';
import { mendOfPlace, openPrivateDirectory, writePrivateFile } from '../state/private-file.ts';
import {
  type EdgeRecord,
  type LocalKeys,
  openStateDirectory,
  type StateDirectory,
  stateDirectoryAt,
} from '../state/state-directory.ts';
import { isLoopback, offeredPort, urlOf } from './address.ts';
import { startClock } from './cron.ts';
import { type EdgePlan, type PlanInput, planEdge } from './edge-plan.ts';
import { EdgeRuntime } from './edge-runtime.ts';
import { watchGoneClients } from './gone-clients.ts';
import { watchFiles } from './watch-files.ts';
import { watchState } from './watch-state.ts';

export interface EdgeOptions {
  /** 0 takes any free port. */
  readonly port: number;
  readonly host: string;
  readonly policiesDir: string;
  readonly varsFile: string | null;
  readonly stateDir: string;
  /** Reload when policies or vars change. */
  readonly watch: boolean;
  /** Says something to people: notes, reloads, the Worker's own log lines. */
  readonly say: (line: string) => void;
  /** `stateDir`, when it was claimed before; the edge gives it back. */
  readonly claim?: StateClaim;
}

/** A state directory that is this process's alone until it is given back. */
export interface StateClaim {
  readonly state: StateDirectory;
  readonly keys: LocalKeys;
  /** May be called twice. */
  readonly giveBack: () => void;
}

export interface Edge {
  readonly url: string;
  readonly state: StateDirectory;
  /** Changes with every reload. */
  readonly workerdPid: () => number | null;
  /** Resolves with the reason when the edge ended, or must end, although nobody asked it to. */
  readonly died: Promise<Failure>;
  /** Ends workerd, gives back the lock. May be called twice. */
  readonly stop: () => Promise<void>;
}

const ISSUER = 'https://keywarden.localhost';

/**
 * Locks a state directory and reads its keys. The lock comes first: whoever does not get it has changed nothing that the edge
 * which holds it reads.
 *
 * @throws Failure when another process has it, or its keys are damaged.
 */
export function claimState(stateDir: string, say: (line: string) => void): StateClaim {
  const state = stateDirectoryAt(stateDir);
  openPrivateDirectory(state.path);
  const giveBack = lockOf(state);
  try {
    const keys = openStateDirectory(state);
    for (const file of keys.made) say(`made ${file}`);
    return { state, keys, giveBack };
  } catch (error) {
    giveBack();
    throw error;
  }
}

function lockOf(state: StateDirectory): () => void {
  try {
    return takeLock(state.lockFile);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`cannot use the state directory ${state.path}: ${(error as Error).message}`, mendOfPlace(error));
  }
}

/**
 * Starts a local edge: the Worker in workerd, with D1 and Durable Objects kept in the state directory.
 *
 * @throws Failure when anything in its environment is broken; then nothing is left running.
 */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const { state, keys, giveBack: unlock } = options.claim ?? claimState(options.stateDir, options.say);
  const input: PlanInput = { policiesDir: options.policiesDir, varsFile: options.varsFile, keys, issuer: ISSUER };
  let runtime: EdgeRuntime | null = null;
  try {
    const plan = await planEdge(input);
    for (const text of plan.notes) options.say(text);
    if (!isLoopback(options.host))
      options.say(`listening on ${options.host}: whoever reaches this port reaches the edge, without TLS`);
    const port = await offeredPort(options.host, options.port);
    const url = urlOf(options.host, port);
    runtime = new EdgeRuntime({ host: options.host, port, url, storage: state.storage, say: options.say });
    await runtime.start(plan);
    writePrivateFile(
      state.edgeFile,
      JSON.stringify({ url, pid: process.pid, started_at: new Date().toISOString() } satisfies EdgeRecord),
    );
    return running(options, input, plan, runtime, state, url, unlock);
  } catch (error) {
    await runtime?.stop();
    unlock();
    throw error;
  }
}

function running(
  options: EdgeOptions,
  input: PlanInput,
  first: EdgePlan,
  runtime: EdgeRuntime,
  state: StateDirectory,
  url: string,
  unlock: () => void,
): Edge {
  let current = first;
  let stopping: Promise<void> | null = null;
  const reload = async (): Promise<void> => {
    if (stopping !== null) return;
    try {
      const next = await planEdge(input);
      if (next.policies === current.policies && JSON.stringify(next.bindings) === JSON.stringify(current.bindings))
        return;
      await runtime.reload(next);
      current = next;
      options.say(`reloaded: ${counted(next.services.length, 'service')}`);
      for (const text of next.notes) options.say(text);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      options.say(
        `not reloaded, the edge goes on as before: ${[error.message, ...error.hints].join('\n').replaceAll('\n', '\n  ')}`,
      );
    }
  };
  const vars = input.varsFile === null ? [] : [input.varsFile];
  const watched = (): string[] => [input.policiesDir, ...policyPlaces(input.policiesDir), ...vars];
  const unwatch = options.watch ? watchFiles(watched, reload) : () => {};
  const stopClock = startClock(runtime.crons, (cron, at) =>
    runtime.runScheduled(cron, at).catch((error: unknown) => {
      if (stopping === null)
        options.say(`the job of "${cron}" failed: ${error instanceof Error ? error.message : error}`);
    }),
  );
  const lost = Promise.withResolvers<Failure>();
  const unwatchState = watchState(state, () => {
    const why = `the state directory ${state.path} was removed or exchanged while the edge ran: calls could not be recorded there`;
    lost.resolve(new Failure(why, 'start it again; end the edge before the directory is moved, removed or restored'));
  });
  const unwatchClients = watchGoneClients(options.host, Number(new URL(url).port), () => runtime.workerdPid);
  const end = async (): Promise<void> => {
    unwatch();
    stopClock();
    unwatchState();
    await Promise.all([unwatchClients(), runtime.stop()]);
    removeRecord(state.edgeFile);
    unlock();
  };
  const ended = runtime.died.then((why) => new Failure(why, 'nothing that was recorded is lost: start it again'));
  const died = Promise.race([ended, lost.promise]);
  return { url, state, workerdPid: () => runtime.workerdPid, died, stop: () => (stopping ??= end()) };
}

function removeRecord(file: string): void {
  try {
    if ((JSON.parse(readFileSync(file, 'utf8')) as EdgeRecord).pid === process.pid) unlinkSync(file);
  } catch {
    // Already gone.
  }
}
