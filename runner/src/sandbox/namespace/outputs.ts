import { spawnSync } from 'node:child_process';
import { closeSync, constants, fchmodSync, openSync, unlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { Failure } from '../../failure.ts';

/** The agent's descriptors 1 and 2, as the runner reads them. */
export interface Outputs {
  readonly stdout: Socket;
  readonly stderr: Socket;
  /** For the sandbox, 1 then 2. */
  readonly theirs: readonly [number, number];
  /** To be called as soon as the sandbox has them, or their end never comes. */
  handedOver(): void;
}

/**
 * Outputs that can be opened by their names, as scripts do (`echo x > /dev/stderr`): Node gives its children sockets, which
 * nobody can open. A FIFO is a pipe to the agent; its path is gone at once, so that nobody else comes to it. What is
 * typed comes by a socket: whoever opens a FIFO to read when its writers are gone waits for ever.
 *
 * @param folder  The session's.
 */
export function openOutputs(folder: string): Outputs {
  const paths = [join(folder, 'stdout'), join(folder, 'stderr')] as const;
  const made = spawnSync('mkfifo', ['-m', '600', '--', ...paths], { encoding: 'utf8' });
  if (made.status !== 0)
    throw new Failure(`cannot make the pipes of the session: ${made.stderr?.trim() || made.error?.message}`);
  // The first end waits for no second; the second finds the first.
  const ours = paths.map((path) => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  const theirs = paths.map((path) => openSync(path, constants.O_WRONLY)) as [number, number];
  for (const path of paths) unlinkSync(path);
  // Who opens one by name asks for its mode as for a file's, and the agent may have another uid.
  for (const fd of theirs) fchmodSync(fd, 0o666);
  const [stdout, stderr] = ours.map((fd) => new Socket({ fd, readable: true, writable: false })) as [Socket, Socket];
  return { stdout, stderr, theirs, handedOver: () => theirs.forEach((fd) => closeSync(fd)) };
}
