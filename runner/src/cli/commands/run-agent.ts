import { constants } from 'node:os';
import { findEdge } from '../../client/edge-address.ts';
import { EdgeClient } from '../../client/edge-client.ts';
import { refuseFolders } from '../../sandbox/own-streams.ts';
import { bootMs } from '../../session/boot-clock.ts';
import { backendOf } from '../../session/choose-backend.ts';
import { openEgress } from '../../session/egress.ts';
import { outputOf } from '../../session/output.ts';
import { type Prepared, prepareRun, type RunRequest } from '../../session/prepare.ts';
import { runSession, type SessionResult } from '../../session/run-session.ts';
import { runnerKey } from '../../session/runner-key.ts';
import { findRunnerState, openRunnerState, type RunnerState } from '../../session/runner-state.ts';
import { sessionEdge } from '../../session/session-edge.ts';
import type { SessionListener } from '../../session/session-listener.ts';
import { sweepQuietly } from '../../session/sweep-leases.ts';
import { jsonText, note, outliveReaders, waitForReaders } from '../terminal.ts';
import type { RunOptions } from './run.ts';
import { printPlan } from './run-plan.ts';
import { summaryOf, Timings } from './run-summary.ts';

/** `keywarden run`, once its options are parsed. @returns the exit code. */
export async function runAgent(argv: readonly string[], options: RunOptions): Promise<number> {
  const timings = new Timings();
  const say = options.quiet ? (): void => {} : note;
  refuseFolders();
  const state = findRunnerState(options.state);
  const prepared = await prepareRun(requestOf(argv, options, state));
  timings.phase('check');
  if (options.dryRun) {
    await printPlan(prepared, options);
    return 0;
  }
  // Looked for before anything is made: no edge, no session.
  const edge = options.edge ? sessionEdge(new EdgeClient(findEdge(options.state))) : null;
  openRunnerState(state);
  const key = runnerKey(state);
  const { listener, written } = await listenersOf(options);
  await sweepQuietly({ state, key: () => key, edge, backendOf, say });
  timings.phase('sweep before');
  outliveReaders();
  announce(prepared, options, say);
  const output = outputOf(prepared.masker, prepared.plan.sandbox.tty);
  const began = bootMs();
  let result: SessionResult | null = null;
  try {
    result = await runSession(prepared.plan, {
      state,
      key,
      edge,
      openEgress,
      streams: output.streams,
      listener,
      observe: () => {},
      say,
      phase: timings.phase,
    });
  } finally {
    const patience = patienceFor(result, prepared.plan.timeoutMs - (bootMs() - began));
    waitForReaders(patience);
    await output.finish(patience);
    await written();
    if (options.timings) timings.print();
  }
  tell(result, options, say);
  return exitCodeOf(result);
}

function requestOf(argv: readonly string[], options: RunOptions, state: RunnerState): RunRequest {
  return {
    argv,
    agent: options.agent,
    capabilities: options.can,
    backend: options.backend,
    timeoutSeconds: options.timeout,
    mounts: options.mount,
    mountAnyway: options.mountAnyway ?? false,
    env: options.env,
    secrets: options.secret,
    mask: options.mask ?? null,
    memoryBytes: options.memory ?? null,
    cpus: options.cpus ?? null,
    pids: options.pids ?? null,
    image: options.image ?? null,
    root: options.root ?? null,
    workdir: options.workdir ?? null,
    decoys: options.decoys,
    requireCount: options.requireCount ?? false,
    tty: options.tty && process.stdin.isTTY === true && process.stdout.isTTY === true,
    hasEdge: options.edge,
    dryRun: options.dryRun ?? false,
    state,
  };
}

function announce(prepared: Prepared, options: RunOptions, say: (line: string) => void): void {
  const { plan, layers, secretNames, masker } = prepared;
  const absent = layers.filter(({ present }) => !present);
  const without = absent.map(({ name, detail }) => `${name} (${detail})`).join(', ');
  // A required one refuses the run before.
  if (absent.length > 0) say(`backend ${plan.backend.name}, without ${without}`);
  else if (options.backend === 'auto') say(`backend ${plan.backend.name}: all of its layers are present`);
  if (plan.capabilities.length === 0 && options.edge)
    say('no --can: the agent gets the sandbox and no token, so that the edge lets it do nothing');
  if (secretNames.length > 0) {
    say(`${secretNames.join(', ')} will be readable by the agent itself: a capability (--can) is the stronger way`);
    if (masker === null) say('--no-mask: what the agent prints is not masked');
  }
}

/** What they cannot write later is told in any case: --quiet is no leave to lose what was asked for. */
async function listenersOf(options: RunOptions): Promise<{ listener: SessionListener; written: () => Promise<void> }> {
  const { allOf, eventsFile, metricsFile } = await import('../../signals/exporters.ts');
  const listeners: SessionListener[] = [];
  let written = async (): Promise<void> => {};
  if (options.metricsFile !== undefined) {
    const { sessionMetrics } = await import('../../signals/metrics.ts');
    const file = await metricsFile(options.metricsFile, sessionMetrics(), note);
    listeners.push(file);
    written = () => file.written();
  }
  if (options.events !== undefined) listeners.push(eventsFile(options.events, note));
  return { listener: allOf(listeners), written };
}

function tell(result: SessionResult, options: RunOptions, say: (line: string) => void): void {
  const { receipt, left, ending } = result;
  const early = receipt.at.running === null ? ' before the agent was started' : '';
  if (ending.reason !== 'exited') say(`the session ended${early}: ${REASON_TEXT[ending.reason] ?? ending.reason}`);
  if (left.length > 0)
    note(
      `not everything could be removed: ${left.map(({ kind, name }) => `${kind} ${name}`).join(', ')}; keywarden sweep`,
    );
  if (options.json) process.stderr.write(`${jsonText(summaryOf(result))}\n`);
  else if (receipt.counters !== null && receipt.counters.denied.length > 0) {
    const byClass = new Map<string, number>();
    for (const row of receipt.counters.denied)
      byClass.set(row.path_class, (byClass.get(row.path_class) ?? 0) + row.count);
    const list = [...byClass].map(([name, count]) => `${name} ${count}×`).join(', ');
    say(`denied opens of credential paths: ${list}`);
  }
}

/** Nobody takes the output any more: what is left of it is given up. */
const STUCK_MS = 5_000;

/**
 * How long the last of the output waits for its reader. After an agent that ended by itself as long as the session might have
 * lasted, in which the agent itself would have waited: a person may read it in a pager. Who wanted the end does not wait.
 */
function patienceFor(result: SessionResult | null, leftMs: number): number {
  const byItself = result !== null && ['exited', 'killed', 'out_of_memory'].includes(result.ending.reason);
  return byItself ? Math.max(STUCK_MS, leftMs) : STUCK_MS;
}

const REASON_TEXT: Readonly<Record<string, string>> = {
  deadline: 'its deadline passed',
  interrupted: 'it was interrupted',
  stopped: 'somebody asked for it (keywarden sessions stop)',
  out_of_memory: 'it ran out of memory (--memory)',
  killed: 'a signal killed the agent',
};

/** What `timeout` gives for a command that made its end look like a success. */
const EXIT_TIMED_OUT = 124;

function exitCodeOf({ exit, ending, signal, receipt }: SessionResult): number {
  const late = ending.reason === 'deadline';
  if (receipt.at.running === null) return late ? EXIT_TIMED_OUT : 128 + constants.signals[signal];
  const code = exit?.code ?? 128 + constants.signals.SIGKILL;
  return code === 0 && late ? EXIT_TIMED_OUT : code;
}
