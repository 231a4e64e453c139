import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { EngineKind } from './engine.ts';
import { open } from './raw.ts';
import { removeContainer } from './remove.ts';

export interface Ended {
  readonly status: number;
  readonly outOfMemory: boolean;
  /** Somebody had the engine end it: we, another client, or the engine itself on its way down. */
  readonly byEngine: boolean;
}

export interface EndWatch {
  /** Call it when the container has been started. Resolves when it is gone; rejects when the engine is. */
  readonly ended: () => Promise<Ended>;
  readonly close: () => void;
}

/** The event of the removal comes with or after the answer; by then that of the OOM killer has come. */
const EVENT_PATIENCE_MS = 500;

/** Who watches before the start misses nothing. */
export const watchEnd = (engine: Docker, kind: EngineKind, socket: string, id: string): Promise<EndWatch> =>
  kind === 'docker' ? watchDocker(socket, id) : Promise.resolve(watchPodman(engine, socket, id));

/** The engine removes the container itself, so that its state cannot be asked for afterwards: the events tell. */
async function watchDocker(socket: string, id: string): Promise<EndWatch> {
  const filters = JSON.stringify({ type: ['container'], container: [id], event: ['oom', 'kill', 'destroy'] });
  const [removed, events] = await Promise.all([
    open(socket, 'POST', `/containers/${id}/wait?condition=removed`),
    open(socket, 'GET', `/events?filters=${encodeURIComponent(filters)}`),
  ]);
  const seen = listen(events);
  const status = statusIn(removed);
  status.catch(() => {});
  const close = (): void => {
    removed.destroy();
    events.destroy();
  };
  return {
    close,
    async ended() {
      const code = await status;
      if (code !== 0) await Promise.race([seen.destroyed, sleep(EVENT_PATIENCE_MS, undefined, { ref: false })]);
      close();
      return { status: code, outOfMemory: code !== 0 && seen.oom, byEngine: seen.kill };
    },
  };
}

interface Seen {
  oom: boolean;
  kill: boolean;
  destroyed: Promise<void>;
}

function listen(events: IncomingMessage): Seen {
  const destroyed = Promise.withResolvers<void>();
  const seen: Seen = { oom: false, kill: false, destroyed: destroyed.promise };
  events.on('error', () => {});
  const lines = createInterface({ input: events });
  lines.on('error', () => {});
  lines.on('line', (line) => {
    // A child that was killed for memory is no end; only an end that was no success asks.
    if (/"Action":"oom"/.test(line)) seen.oom = true;
    if (/"Action":"kill"/.test(line)) seen.kill = true;
    if (/"Action":"destroy"/.test(line)) destroyed.resolve();
  });
  lines.on('close', () => destroyed.resolve());
  return seen;
}

/** Podman has no OOM event, and does not answer before the end: nothing is removed before it was looked at. */
function watchPodman(engine: Docker, socket: string, id: string): EndWatch {
  return {
    close: () => {},
    async ended() {
      const status = await statusIn(await open(socket, 'POST', `/containers/${id}/wait?condition=not-running`));
      const { State } = await engine.getContainer(id).inspect();
      await removeContainer(engine, id);
      return { status, outOfMemory: State.OOMKilled, byEngine: false };
    },
  };
}

async function statusIn(answer: IncomingMessage): Promise<number> {
  const { StatusCode, Error: error } = (await json(answer)) as {
    StatusCode: number;
    Error?: { Message: string } | null;
  };
  if (error?.Message) throw new Error(error.Message);
  return StatusCode;
}
