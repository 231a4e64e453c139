import { chownSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { Failure } from '../../failure.ts';
import { KILL_MESSAGE, signalMessage } from '../../helper/message.ts';
import type { Sandbox, SandboxSpec, StartEvents } from '../backend.ts';
import { readable } from '../readable.ts';
import { mayCount } from './counting.ts';
import { createOptions, type Layout } from './create.ts';
import { wordsOf } from './engine.ts';
import { type Parts, settle } from './finish.ts';
import type { Identity } from './identity.ts';
import { HOME, layDown, placesIn } from './places.ts';
import { removeContainer } from './remove.ts';
import { seccompProfile } from './seccomp.ts';
import { attach } from './streams.ts';
import { Supervisor } from './supervisor.ts';
import { watchEnd } from './watch-end.ts';

const READY_PATIENCE_MS = 30_000;
/** The engine leaves a limit out with a warning when the kernel lacks it. A run without its limits is refused. */
const LIMIT_LEFT_OUT = /limit|memory|cpu|pids/i;

/** The supervisor first: PID 1 of the container connects to it, and what it counts begins with the agent's first call. */
export async function startDocker(
  engine: Docker,
  socket: string,
  spec: SandboxSpec,
  layout: Layout,
  events: StartEvents,
): Promise<Sandbox> {
  readable(() => layDown(spec.folder, layout.agent, spec.decoys));
  const { control, seccomp } = placesIn(spec.folder);
  if (layout.engine === 'podman') writeFileSync(seccomp, seccompProfile(), { mode: 0o600, flag: 'wx' });
  const supervisor = await Supervisor.start(layout.helper, superviseArgv(spec), spec.folder);
  const undo: (() => unknown)[] = [() => supervisor.end(0)];
  try {
    await events.traced(supervisor.trace);
    await supervisor.listen(spec.env, control);
    lend([control, spec.egressSocket], layout.agent);
    events.phase?.('supervised');

    const id = await create(engine, spec, layout, (made) => undo.unshift(() => removeContainer(engine, made)));
    await events.traced({ kind: 'container', id, host: socket });
    events.phase?.('created');

    const [attached, watch] = await Promise.all([
      // The engine's pipe stays whole: the agent is told as the kernel would tell it.
      attach(socket, id, spec, () => supervisor.tell(signalMessage(constants.signals.SIGPIPE))),
      watchEnd(engine, layout.engine, socket, id),
    ]);
    undo.unshift(attached.close, watch.close);
    const container = engine.getContainer(id);
    await container.start().catch((error) => {
      throw new Failure(`the engine does not start the container: ${wordsOf(error)}`, 'keywarden doctor');
    });
    events.phase?.('started');
    const ended = watch.ended();
    ended.catch(() => {});
    if (mayCount()) await ready(supervisor, ended);
    const unfollow = spec.tty ? await followSize(container, spec) : () => {};
    return sandboxOf({ engine, socket, id, supervisor, attached, ended }, unfollow);
  } catch (error) {
    for (const step of undo) await Promise.resolve(step()).catch(() => {});
    throw error;
  }
}

export const superviseArgv = (spec: SandboxSpec): string[] => [
  ...['supervise', placesIn(spec.folder).control, spec.env['HOME'] ?? HOME],
  // Who cannot read the agent's memory could only refuse every open: then nothing is counted, and `sources` says so.
  `pty=0 count=${Number(mayCount())} owner=-1`,
];

async function create(engine: Docker, spec: SandboxSpec, layout: Layout, made: (id: string) => void): Promise<string> {
  const container = await engine.createContainer(createOptions(spec, layout)).catch((error) => {
    throw new Failure(`the engine refuses the container: ${wordsOf(error)}`, 'keywarden doctor');
  });
  made(container.id);
  const { Warnings } = container as unknown as { Warnings?: readonly string[] | null };
  const left = (Warnings ?? []).filter((warning) => LIMIT_LEFT_OUT.test(warning) && !/swap/i.test(warning));
  if (left.length > 0) throw new Failure(`the engine leaves limits out: ${left.join('; ')}`, 'keywarden doctor');
  return container.id;
}

/** The agent's uid must be able to connect to both; the folder (0700) keeps everybody else of the host away. */
function lend(sockets: readonly string[], { uid, gid }: Identity): void {
  if (process.getuid?.() !== 0) return;
  for (const path of sockets) chownSync(path, uid, gid);
}

/** An end before PID 1 said anything is no session that ended but a start that failed. */
async function ready(supervisor: Supervisor, ended: Promise<unknown>): Promise<void> {
  const silent = ended.then(
    async () => {
      // What PID 1 said last may still be on its way.
      await Promise.race([supervisor.ready, sleep(200)]);
      throw supervisor.failure();
    },
    (error) => {
      throw new Failure(`the engine went away: ${wordsOf(error)}`, 'keywarden doctor');
    },
  );
  silent.catch(() => {});
  const late = sleep(READY_PATIENCE_MS, undefined, { ref: false }).then(() => {
    throw supervisor.failure();
  });
  late.catch(() => {});
  await Promise.race([supervisor.ready, silent, late]);
}

/** Our own terminal's size is the agent's as soon as it runs, and when it changes. */
async function followSize(container: Docker.Container, { streams }: SandboxSpec): Promise<() => void> {
  if (streams.kind !== 'inherit' || !process.stdout.isTTY) return () => {};
  const { stdout } = process;
  const tell = (): Promise<unknown> => container.resize({ w: stdout.columns, h: stdout.rows }).catch(() => {});
  await tell();
  stdout.on('resize', tell);
  return () => void stdout.off('resize', tell);
}

function sandboxOf(parts: Parts, unfollow: () => void): Sandbox {
  const { engine, id, supervisor } = parts;
  const asked = { toEnd: false };
  const exited = settle(parts, asked).finally(unfollow);
  exited.catch(() => {});
  const container = engine.getContainer(id);
  return {
    exited,
    counters: () => supervisor.counters(),
    async signal(name) {
      asked.toEnd = true;
      supervisor.tell(signalMessage(constants.signals[name]));
    },
    async kill() {
      asked.toEnd = true;
      // Either is enough: PID 1 by itself when the engine hangs, the engine when PID 1 does.
      supervisor.tell(KILL_MESSAGE);
      await container.kill({ signal: 'SIGKILL' }).catch(() => {});
      await exited.catch(() => {});
    },
    async resize(columns, rows) {
      await container.resize({ w: columns, h: rows }).catch(() => {});
    },
  };
}
