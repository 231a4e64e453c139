import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { Failure } from '../../failure.ts';
import { KILL_MESSAGE } from '../../helper/message.ts';
import type { Exit } from '../backend.ts';
import { wordsOf } from './engine.ts';
import { removeContainer } from './remove.ts';
import type { Attached } from './streams.ts';
import type { Supervisor } from './supervisor.ts';
import type { Ended } from './watch-end.ts';

export interface Parts {
  readonly engine: Docker;
  readonly socket: string;
  readonly id: string;
  readonly supervisor: Supervisor;
  readonly attached: Attached;
  /** The container is gone; rejects when the engine is. */
  readonly ended: Promise<Ended>;
}

/** Nobody takes the agent's output any more: what is left of it is given up. */
const STUCK_MS = 5_000;
/** A restarted engine is back by then, as a rule. */
const RETURN_PATIENCE_MS = 5_000;
/** After an end by the engine that nobody here asked for: dockerd 20.10 answers for a second more (tried). */
const SHUTDOWN_MS = 3_000;

/** Waits until the container is gone, its output handed on and the counts told. `asked.toEnd`: we ourselves ended it. */
export async function settle(parts: Parts, asked: { readonly toEnd: boolean }): Promise<Exit> {
  const { supervisor, attached } = parts;
  // From the agent's end on, not from the container's: an engine whose reader is stuck does not end the container (tried).
  const drained = supervisor.closed.then(() => drain(attached));
  const outcome = await parts.ended.then(
    (ended) => ({ ended, lost: null }),
    (error: unknown) => ({ ended: null, lost: wordsOf(error) }),
  );
  if (outcome.ended === null) return loseEngine(parts, outcome.lost);
  await Promise.all([supervisor.end(), drained]);
  const exit = exitOf(outcome.ended, supervisor);
  // An engine that is shut down ends its containers first: that was not the agent's doing.
  if (outcome.ended.byEngine && !asked.toEnd && (await isGoingDown(parts.engine))) {
    return loseEngine(parts, 'it was shut down');
  }
  return exit;
}

/** A slow reader gets all; one that takes nothing for a while does not keep the session. */
async function drain({ drained, lastProgress, close }: Attached): Promise<void> {
  const ended = performance.now();
  let done = false;
  void drained.then(() => {
    done = true;
  });
  while (!done && performance.now() - Math.max(ended, lastProgress()) < STUCK_MS) {
    await Promise.race([drained, sleep(100, undefined, { ref: false })]);
  }
  close();
}

/** What PID 1 says goes first: podman tells 0 after a kill. */
function exitOf({ status, outOfMemory }: Ended, { exited }: Supervisor): Exit {
  if (exited === null) {
    const signal = status > 128 ? nameOf(status - 128) : null;
    return { code: status, signal, outOfMemory };
  }
  const number = exited.signal === null ? null : Number(exited.signal.replace(/^SIG/, ''));
  return {
    code: exited.code,
    signal: number === null ? null : Number.isNaN(number) ? exited.signal : nameOf(number),
    outOfMemory: outOfMemory && exited.code !== 0,
  };
}

const nameOf = (number: number): string =>
  Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `SIG${number}`;

/**
 * The engine died or was restarted under the session (threat B63). Its streams are lost with it, so the session ends: PID 1
 * needs no engine to be told. What the engine still keeps of the container is removed when it is back soon, else swept.
 */
async function loseEngine({ engine, id, supervisor, attached }: Parts, why: string): Promise<never> {
  supervisor.tell(KILL_MESSAGE);
  await supervisor.end();
  attached.close();
  const removed = await removeWhenBack(engine, id);
  throw new Failure(
    `the container engine went away in mid-session (${why}): the sandbox was ended`,
    removed ? 'start it again' : `${id.slice(0, 12)} may be left at the engine: keywarden sweep, when it is back`,
  );
}

async function removeWhenBack(engine: Docker, id: string): Promise<boolean> {
  for (const until = performance.now() + RETURN_PATIENCE_MS; performance.now() < until; await sleep(250)) {
    try {
      await removeContainer(engine, id);
      return true;
    } catch {
      // Not back yet.
    }
  }
  return false;
}

/** One that is going down answers still while it ends its containers. */
async function isGoingDown(engine: Docker): Promise<boolean> {
  for (const until = performance.now() + SHUTDOWN_MS; performance.now() < until; await sleep(100)) {
    const answers = engine.ping().then(
      () => true,
      () => false,
    );
    if (!(await Promise.race([answers, sleep(2_000, false, { ref: false })]))) return true;
  }
  return false;
}
