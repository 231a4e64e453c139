import { type Stats, statSync } from 'node:fs';
import { Failure } from '../../failure.ts';
import type { Mount } from '../backend.ts';

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

const AGENT: Identity = { uid: 1000, gid: 1000 };

/**
 * Who the agent is in the container, where uids are the host's.
 *
 * A runner that is not root lends its own: what the agent writes to a mount is then the user's, and the supervisor may read
 * the agent's memory. For root it is 1000, or who owns the writable mounts, and never root: without any capability root's
 * uid still owns files of the host that a mount may show.
 */
export function identityOf(
  mounts: readonly Mount[],
  runner: Identity = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
): Identity {
  const writable = mounts.filter((mount) => mount.writable).map((mount) => ({ mount, ...ownerOf(mount) }));
  const owner = writable.find(({ uid }) => uid !== 0);
  const agent =
    runner.uid !== 0 ? runner : owner === undefined ? AGENT : { uid: owner.uid, gid: owner.gid || owner.uid };
  const shut = writable.find(({ uid, mode }) => uid !== agent.uid && (mode & 0o002) === 0);
  if (shut === undefined) return agent;
  throw new Failure(
    `the agent (uid ${agent.uid}) could not write to ${shut.mount.source}, which belongs to uid ${shut.uid}`,
    `chown -R ${agent.uid} ${shut.mount.source}, or mount it read-only, or use the backend namespace`,
  );
}

function ownerOf(mount: Mount): Pick<Stats, 'uid' | 'gid' | 'mode'> {
  try {
    return statSync(mount.source);
  } catch (error) {
    throw new Failure(`cannot mount ${mount.source}: ${(error as Error).message}`, 'does it exist?');
  }
}
