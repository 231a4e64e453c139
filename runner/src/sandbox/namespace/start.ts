import { type ChildProcess, spawn } from 'node:child_process';
import { fchmodSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { Failure } from '../../failure.ts';
import { KILL_MESSAGE, resizeMessage, signalMessage } from '../../helper/message.ts';
import { startTimeOf } from '../../state/process-identity.ts';
import type { Exit, Sandbox, SandboxSpec, StartEvents, Trace } from '../backend.ts';
import { ownStreamsAgain } from '../own-streams.ts';
import { type Layout, startArgv } from './argv.ts';
import { Cgroups } from './cgroup.ts';
import { Counts, type HelperEvent } from './counts.ts';
import { endProcesses } from './leftovers.ts';
import { type Outputs, openOutputs } from './outputs.ts';

type Ended = Extract<HelperEvent, { event: 'exited' }>;

/**
 * Starts `supervise`, which waits for the environment before it starts anything: by then its trace is in the lease, what the
 * mounts show is laid down, and it is in the session's control groups, so that nothing of the sandbox can be outside of them.
 *
 * @param lay  Lays down what the mounts show; runs while the supervisor comes up.
 */
export async function startNamespace(
  spec: SandboxSpec,
  layout: Layout,
  lay: () => void,
  events: StartEvents,
): Promise<Sandbox> {
  const groups = new Cgroups(spec.session);
  const traces: Trace[] = [];
  const trace = async (one: Trace): Promise<void> => {
    traces.push(one);
    await events.traced(one);
  };
  for (const path of groups.paths) await trace({ kind: 'cgroup', path });
  groups.make(spec.limits);

  const counts = new Counts(spec.folder);
  const [program, ...argv] = startArgv(layout, groups.doors) as [string, ...string[]];
  const streams = spec.streams;
  const piped = streams.kind === 'piped';
  // Input that nobody types is lent as it is, and so can be opened by its name.
  const lent = !piped || (streams.stdin === 'own' && !isatty(0));
  if (lent && layout.identity.kind === 'dropped') lendPipes(piped ? [0] : [0, 1, 2]);
  const outputs = piped ? openOutputs(spec.folder) : null;
  const child = spawn(program, argv, {
    env: {},
    stdio: [
      lent ? 'inherit' : streams.stdin === null ? 'ignore' : 'pipe',
      ...(outputs?.theirs ?? (['inherit', 'inherit'] as const)),
      'pipe',
      'pipe',
      'pipe',
      counts.fd,
    ],
    // A session of its own: what comes to the whole group, as Ctrl-\ from a terminal, is the runner's to pass on, once. But one
    // that takes our terminal over is stopped with us when we are not in its foreground.
    detached: piped || !spec.tty,
  });
  outputs?.handedOver();
  const read = outputs === null ? [] : [outputs.stdout, outputs.stderr];
  const pid = child.pid;
  if (pid === undefined) {
    for (const stream of read) stream.destroy();
    const why = await new Promise<Error>((resolve) => child.once('error', resolve));
    counts.finish();
    throw new Failure(`the sandbox helper cannot be started: ${why.message}`, 'keywarden doctor');
  }
  const watched = watch(child, read, groups, counts, layout);
  const tell = (message: Buffer): void => {
    const life = descriptor(child, 4) as Writable;
    if (life.writable) life.write(message);
  };
  try {
    await trace({ kind: 'process', pid, startTime: startTimeOf(pid) ?? '' });
    lay();
    events.phase?.('laid down');
    if (piped && outputs !== null) connect(child.stdin, outputs, streams);
    // Before the environment, upon which all starts: so the terminal has its size when the agent looks.
    if (spec.tty && process.stdout.isTTY) tell(resizeMessage(process.stdout.columns, process.stdout.rows));
    const block = Object.entries(spec.env).map(([name, value]) => `${name}=${value}\0`);
    (descriptor(child, 5) as Writable).end(block.join(''));
    await watched.ready;
  } catch (error) {
    child.kill('SIGKILL');
    for (const stream of read) stream.destroy();
    await endProcesses(spec.session, traces);
    throw error;
  }
  return {
    exited: watched.exited,
    counters: () => counts.counters(),
    signal: async (name) => tell(signalMessage(constants.signals[name])),
    async kill() {
      tell(KILL_MESSAGE);
      await endProcesses(spec.session, traces);
      await drain(read, watched.exited);
    },
    resize: async (columns, rows) => tell(resizeMessage(columns, rows)),
  };
}

/**
 * Our own pipes belong to root, and who opens /dev/stdout asks for their mode as for a file's: the agent has another uid. A pipe
 * without a name can be reached by nobody but through a process that has it.
 */
function lendPipes(fds: readonly number[]): void {
  for (const fd of fds) if (/^pipe:/.test(readlinkSync(`/proc/self/fd/${fd}`))) fchmodSync(fd, 0o666);
}

/** Nobody takes the output of a killed agent any more: what is left of it is given up. */
const STUCK_MS = 2_000;

/** Whose reader is slow gets all; one that takes nothing does not keep a session past its end. */
async function drain(outputs: readonly Socket[], exited: Promise<Exit>): Promise<void> {
  const taken = (): number => outputs.reduce((sum, stream) => sum + stream.bytesRead, 0);
  for (let before = -1; before !== taken(); ) {
    before = taken();
    const over = await Promise.race([exited.then(() => true), sleep(STUCK_MS, false, { ref: false })]);
    if (over) return;
  }
  for (const stream of outputs) stream.destroy();
  await exited;
}

/** Node's types know of five descriptors only. */
const descriptor = (child: ChildProcess, number: number): Writable | Readable | null | undefined =>
  (child.stdio as readonly (Writable | Readable | null | undefined)[])[number];

const startHints = ({ identity, mounts }: Layout): string[] => [
  'what it said is above; keywarden doctor tells what is missing',
  ...(identity.kind === 'dropped' && mounts.length > 0
    ? ["root's agent has a uid of its own: what it is to read, others must be able to (chmod -R o+rX)"]
    : []),
];

interface Watched {
  readonly ready: Promise<void>;
  readonly exited: Promise<Exit>;
}

function watch(
  child: ChildProcess,
  outputs: readonly Socket[],
  groups: Cgroups,
  counts: Counts,
  layout: Layout,
): Watched {
  const ready = Promise.withResolvers<void>();
  const exited = Promise.withResolvers<Exit>();
  let ended: Ended | null = null;
  let began = false;
  for (const number of [4, 5]) descriptor(child, number)?.on('error', () => {});
  const lines = createInterface({ input: descriptor(child, 3) as NodeJS.ReadableStream });
  lines.on('line', (line) => {
    const event = counts.take(line);
    if (event?.event === 'ready') {
      began = true;
      ready.resolve();
    } else if (event?.event === 'exited') ended = event;
  });
  const allRead = Promise.all(
    [lines, ...outputs].map((one) => new Promise<void>((resolve) => one.once('close', () => resolve()))),
  );
  child.once('close', async (code, signal) => {
    ownStreamsAgain();
    await allRead;
    const outOfMemory = groups.outOfMemory();
    await groups.remove().catch(() => {});
    counts.finish();
    if (!began) {
      // Its PID 1 may have told an exit code; the agent had none.
      ready.reject(new Failure('the sandbox did not start', startHints(layout)));
    }
    exited.resolve(ended === null ? lost(code, signal, outOfMemory) : exitOf(ended, outOfMemory));
    ready.resolve();
  });
  // Who only waits for the start must not be told of the end by a crash.
  ready.promise.catch(() => {});
  return { ready: ready.promise, exited: exited.promise };
}

const exitOf = ({ code, signal }: Ended, outOfMemory: boolean): Exit => ({
  code,
  signal: signal === null ? null : nameOfSignal(signal),
  // A child of an agent that ends well was killed, and the agent went on without it.
  outOfMemory: outOfMemory && code !== 0,
});

/** The supervisor itself was killed, and by its death everything in the sandbox. */
const lost = (code: number | null, signal: string | null, outOfMemory: boolean): Exit => ({
  code: signal === null ? (code ?? 125) : 128 + (constants.signals[signal as NodeJS.Signals] ?? 0),
  signal,
  outOfMemory,
});

function nameOfSignal(told: string): string {
  const number = Number(told.replace(/^SIG/, ''));
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? told;
}

function connect(
  stdin: Writable | null,
  outputs: Outputs,
  streams: Extract<SandboxSpec['streams'], { kind: 'piped' }>,
): void {
  if (streams.stdin !== null && stdin !== null) {
    // The agent may leave its input unread.
    stdin.on('error', () => {});
    const from = streams.stdin === 'own' ? process.stdin : streams.stdin;
    from.pipe(stdin);
    void finished(stdin).catch(() => from.unpipe());
  }
  for (const [from, to] of [
    [outputs.stdout, streams.stdout],
    [outputs.stderr, streams.stderr],
  ] as const) {
    from.pipe(to, { end: false });
    // A reader that has gone is a broken pipe to the agent, as it would be without us.
    const lose = (): void => void from.destroy();
    to.once('close', lose);
    from.once('close', () => to.off('close', lose));
  }
}
