import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  constants,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { Failure } from '../failure.ts';
import { wireCounters } from '../session/counters.ts';
import { O_PATH } from '../session/mount-source.ts';
import type { SessionListener } from '../session/session-listener.ts';
import { codeOf } from '../state/private-file.ts';
import type { SessionMetrics } from './metrics.ts';

/**
 * Keeps a file in Prometheus' text format current, whole at any time, as node_exporter's textfile collector wants it.
 *
 * @param warn  Told once when it can be written no longer; the session goes on.
 * @throws Failure when it cannot be written at all: who asked for it is not to learn of that afterwards.
 */
export async function metricsFile(
  path: string,
  metrics: SessionMetrics,
  warn: (line: string) => void,
): Promise<
  SessionListener & {
    /** Resolves when what was told last stands in the file. */
    written(): Promise<void>;
  }
> {
  let target: string;
  try {
    target = metricsTarget(path);
  } catch (error) {
    throw error instanceof Failure ? error : cannotExport('--metrics-file', path, error);
  }
  const replace = async (): Promise<void> => {
    const draft = `${target}.${randomBytes(4).toString('hex')}`;
    try {
      writeFileSync(draft, await metrics.text(), { mode: 0o644, flag: 'wx' });
      renameSync(draft, target);
    } catch (error) {
      rmSync(draft, { force: true });
      throw error;
    }
  };
  await replace().catch((error) => {
    throw cannotExport('--metrics-file', path, error);
  });
  let writing = Promise.resolve();
  const told = once(warn);
  const then =
    <A extends unknown[]>(tell: (...args: A) => void) =>
    (...args: A): void => {
      tell(...args);
      writing = writing
        .then(replace)
        .catch((error) => told(`metrics cannot be written: ${codeOf(error) ?? (error as Error).message}: ${path}`));
    };
  return {
    started: then(metrics.started),
    counted: then(metrics.counted),
    ended: then(metrics.ended),
    written: () => writing,
  };
}

/**
 * Where a link leads; and never a device or a pipe, in whose place a file would be put. Its folder is held from now on: an
 * agent that may write above it could lay a link in its place, to be followed by us (threat B20).
 */
function metricsTarget(path: string): string {
  const is = statSync(path, { throwIfNoEntry: false });
  if (is?.isFile() === false)
    throw new Failure(`--metrics-file ${path}: this is no file`, 'name a file, to be made or replaced');
  const target = is === undefined ? path : realpathSync(path);
  const folder = openSync(dirname(target), O_PATH | constants.O_DIRECTORY);
  return `/proc/self/fd/${folder}/${basename(target)}`;
}

/**
 * Appends a JSON line for each thing that happens. No line holds a path, an argument or a secret.
 *
 * Opened once, before there is an agent: what it may put in this place is not followed. A pipe keeps nobody waiting.
 *
 * @param warn  Told once when a line could not be written; the session goes on.
 * @throws Failure when it cannot be opened.
 */
export function eventsFile(path: string, warn: (line: string) => void): SessionListener {
  let file: number;
  try {
    file = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK, 0o600);
  } catch (error) {
    throw cannotExport('--events', path, error);
  }
  const told = once(warn);
  const append = (event: string, session: string, more: object): void => {
    try {
      appendFileSync(file, `${JSON.stringify({ at: new Date().toISOString(), event, session, ...more })}\n`);
    } catch (error) {
      told(`events cannot be written: ${(error as Error).message}`);
    }
  };
  return {
    started: ({ session, agent, backend, deadlineAt }) =>
      append('session.started', session, { agent, backend, deadline: new Date(deadlineAt).toISOString() }),
    counted: (session, counters) => append('session.counted', session, { counters: wireCounters(counters) }),
    ended: ({ session_id, agent_id, reason, exit_code, at, counters, absence }) =>
      append('session.ended', session_id, {
        agent: agent_id,
        reason,
        exit_code,
        duration_ms: at.duration_ms,
        counters,
        absence_proven: absence.proven,
      }),
  };
}

export function allOf(listeners: readonly SessionListener[]): SessionListener {
  return {
    started: (lease) => listeners.forEach((one) => one.started(lease)),
    counted: (session, counters) => listeners.forEach((one) => one.counted(session, counters)),
    ended: (receipt) => listeners.forEach((one) => one.ended(receipt)),
  };
}

function cannotExport(option: string, path: string, error: unknown): Failure {
  const [why, hint] = {
    ENOENT: ['there is no such folder', `mkdir -p ${dirname(path)}`],
    ENOTDIR: [`${dirname(path)} is no folder`, 'name a file in a folder that is there'],
    EISDIR: ['this is a folder', 'name a file in it'],
    EACCES: ['you may not write there', 'name a file in a folder of yours'],
    ENXIO: ['nobody reads this pipe', 'start its reader first'],
  }[codeOf(error) ?? ''] ?? [(error as Error).message, 'name a file in a folder that can be written to'];
  return new Failure(`${option} ${path}: ${why}`, `${hint}; or leave ${option} away`);
}

function once(warn: (line: string) => void): (line: string) => void {
  let done = false;
  return (line) => {
    if (!done) warn(line);
    done = true;
  };
}
