import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, existsSync } from 'node:fs';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import type { Duplex, Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { Failure } from '../../failure.ts';
import { CREDENTIAL_PATHS } from '../../helper/helper-path.ts';
import { startTimeOf } from '../../state/process-identity.ts';
import type { Exit, Sandbox, SandboxSpec, StartEvents } from '../backend.ts';
import { Counts, type HelperEvent } from '../namespace/counts.ts';
import { createOptions, placesIn, UID } from './create.ts';
import { mayCount } from './engine.ts';
import { removeContainer } from './leftovers.ts';

const SOCKET_PATIENCE_MS = 5_000;

/** The supervisor first, on the host: it hands the environment to PID 1 of the container and answers its notifications. */
export async function startDocker(
  engine: Docker,
  socket: string,
  spec: SandboxSpec,
  image: string,
  helper: string,
  events: StartEvents,
): Promise<Sandbox> {
  const supervisor = spawn(helper, superviseArgs(spec), {
    env: {},
    stdio: ['ignore', 'inherit', 'inherit', 'pipe', 'pipe', 'pipe'],
  });
  const pid = supervisor.pid;
  if (pid === undefined) throw new Failure('the sandbox helper cannot be started', 'keywarden doctor');
  const heard = listen(supervisor);
  let id: string | null = null;
  try {
    await events.traced({ kind: 'process', pid, startTime: startTimeOf(pid) ?? '' });
    const block = Object.entries(spec.env).map(([name, value]) => `${name}=${value}\0`);
    (descriptor(supervisor, 5) as Writable).end(block.join(''));
    await offerSockets(spec, supervisor);
    const container = await engine.createContainer(createOptions(spec, image, helper)).catch((error) => {
      throw new Failure(
        `the engine refuses: ${wordsOf(error)}`,
        'node scripts/sandbox-image.ts makes the default image',
      );
    });
    id = container.id;
    await events.traced({ kind: 'container', id, host: socket });
    events.phase?.('created');
    const stream = await attach(engine, container, spec);
    const waited = container.wait() as Promise<{ StatusCode: number }>;
    await container.start().catch((error) => {
      throw new Failure(`the container does not start: ${wordsOf(error)}`, 'keywarden doctor');
    });
    await Promise.race([heard.ready, waited.then(() => sleep(200))]);
    const exited = endOf(engine, container.id, waited, stream, heard, supervisor);
    exited.catch(() => {});
    return sandboxOf(engine, container, supervisor, heard.counts, exited);
  } catch (error) {
    supervisor.kill('SIGKILL');
    if (id !== null) await removeContainer(engine, id).catch(() => {});
    throw error;
  }
}

function superviseArgs(spec: SandboxSpec): string[] {
  return [
    ...['supervise', '--control', placesIn(spec.folder).control, '--classes', CREDENTIAL_PATHS],
    ...['--events-fd', '3', '--life-fd', '4', '--env-fd', '5'],
    ...(mayCount() ? [] : ['--no-count']),
  ];
}

const descriptor = (child: ChildProcess, number: number): Writable | Readable | null | undefined =>
  (child.stdio as readonly (Writable | Readable | null | undefined)[])[number];

/** The agent's uid must be able to connect to both; nobody else on the host can reach the folder. */
async function offerSockets(spec: SandboxSpec, supervisor: ChildProcess): Promise<void> {
  const { control } = placesIn(spec.folder);
  for (const until = performance.now() + SOCKET_PATIENCE_MS; !existsSync(control); await sleep(2)) {
    if (supervisor.exitCode !== null || performance.now() > until)
      throw new Failure('the supervisor does not listen', 'what it said is above');
  }
  if (process.getuid?.() !== 0) return;
  await sleep(2);
  for (const path of [control, spec.egressSocket]) chownSync(path, UID, UID);
}

interface Heard {
  readonly counts: Counts;
  readonly ready: Promise<void>;
  readonly ended: () => Extract<HelperEvent, { event: 'exited' }> | null;
  readonly closed: Promise<void>;
}

function listen(supervisor: ChildProcess): Heard {
  const counts = new Counts();
  const ready = Promise.withResolvers<void>();
  let ended: Extract<HelperEvent, { event: 'exited' }> | null = null;
  for (const number of [4, 5]) descriptor(supervisor, number)?.on('error', () => {});
  const lines = createInterface({ input: descriptor(supervisor, 3) as Readable });
  lines.on('line', (line) => {
    const event = counts.take(line);
    if (event?.event === 'ready') ready.resolve();
    else if (event?.event === 'exited') ended = event;
  });
  const closed = new Promise<void>((resolve) => supervisor.once('close', () => resolve()));
  return { counts, ready: ready.promise, ended: () => ended, closed };
}

async function attach(engine: Docker, container: Docker.Container, spec: SandboxSpec): Promise<Duplex> {
  const stream = (await container.attach({
    stream: true,
    stdin: true,
    stdout: true,
    stderr: true,
    hijack: true,
  })) as unknown as Duplex;
  const { streams } = spec;
  const out = streams.kind === 'piped' ? streams.stdout : process.stdout;
  const error = streams.kind === 'piped' ? streams.stderr : process.stderr;
  const input = streams.kind === 'piped' ? streams.stdin : process.stdin;
  stream.on('error', () => {});
  if (spec.tty) stream.pipe(out, { end: false });
  else engine.modem.demuxStream(stream, out, error);
  if (input === null) stream.end();
  else {
    if (spec.tty && streams.kind === 'inherit' && process.stdin.isTTY) {
      process.stdin.setRawMode(true);
      stream.once('close', () => process.stdin.setRawMode(false));
    }
    input.pipe(stream as Writable);
    stream.once('close', () => {
      input.unpipe(stream as Writable);
      if (input === process.stdin) process.stdin.pause();
    });
  }
  return stream;
}

/** When the container has ended, all that it wrote has been read, and the supervisor has told its last counts. */
async function endOf(
  engine: Docker,
  id: string,
  waited: Promise<{ StatusCode: number }>,
  stream: Duplex,
  heard: Heard,
  supervisor: ChildProcess,
): Promise<Exit> {
  const drained = new Promise<void>((resolve) => (stream.closed ? resolve() : stream.once('close', () => resolve())));
  let status: number;
  try {
    status = (await waited).StatusCode;
  } catch (error) {
    // The engine went away under it; what became of the container is the sweep's to find out.
    supervisor.kill('SIGKILL');
    throw new Failure(`the engine is gone: ${wordsOf(error)}`, 'keywarden sweep, when it is back');
  }
  await Promise.race([drained, sleep(2000)]);
  await Promise.race([heard.closed, sleep(2000)]);
  supervisor.kill('SIGKILL');
  const state = await engine
    .getContainer(id)
    .inspect()
    .then(
      (seen) => seen.State,
      () => null,
    );
  await removeContainer(engine, id);
  const ended = heard.ended();
  const outOfMemory = state?.OOMKilled === true;
  // Podman says 0 after a kill; PID 1 knows better.
  if (ended !== null) {
    const number = Number(ended.signal?.replace(/^SIG/, ''));
    const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
    return { code: ended.code, signal: ended.signal === null ? null : (name ?? ended.signal), outOfMemory };
  }
  return { code: status, signal: status > 128 ? 'SIGKILL' : null, outOfMemory };
}

function sandboxOf(
  engine: Docker,
  container: Docker.Container,
  supervisor: ChildProcess,
  counts: Counts,
  exited: Promise<Exit>,
): Sandbox {
  const tell = (line: string): void => {
    const life = descriptor(supervisor, 4) as Writable;
    if (life.writable) life.write(`${line}\n`);
  };
  return {
    exited,
    counters: () => counts.counters(),
    signal: async (name) => tell(`signal ${constants.signals[name]}`),
    async kill() {
      tell('kill');
      await container.kill().catch(() => {});
      await exited.catch(() => {});
      await removeContainer(engine, container.id);
    },
    resize: async (columns, rows) => {
      await container.resize({ w: columns, h: rows }).catch(() => {});
    },
  };
}

const wordsOf = (error: unknown): string => {
  const { json, message } = error as { json?: { message?: string }; message?: string };
  return (json?.message ?? message ?? String(error)).slice(0, 500);
};
