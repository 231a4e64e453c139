import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { Failure } from '../../failure.ts';
import type { Mount, SandboxSpec } from '../backend.ts';

/**
 * Who the agent is to the kernel.
 *
 * - `own`: the runner's own user, in a user namespace, as 1000. All that an unprivileged user can have.
 * - `dropped`: the runner is root. A user namespace would map 1000 to host root, and to root belong, by mode bits alone and
 *   without any capability, /proc/sys/kernel/core_pattern and the inode of /dev/null (both tried: written and chmodded from
 *   inside a capless bwrap). So there is no user namespace: the agent gets a uid that nobody else has, PID 1 stays root with
 *   four capabilities, and rlimits on processes count for this session alone.
 */
export type Identity =
  | { readonly kind: 'own'; readonly uid: number; readonly gid: number; readonly rootEquivalent: boolean }
  | { readonly kind: 'dropped'; readonly uid: number; readonly gid: number };

/** Above every range that systemd documents (UIDS-GIDS.md: containers end at 1879048191), below 2³¹. */
const FIRST_UID = 1_900_000_000;
const UIDS = 200_000_000;

const uidOfSession = (session: string): number =>
  FIRST_UID + (createHash('sha256').update(session).digest().readUInt32BE(0) % UIDS);

/**
 * As root, what the agent may write decides: it writes as the owner of its writable mounts. A folder of root's can only be
 * written by root's uid, so only then the agent keeps it, in a user namespace and behind the covers of `argv.ts`.
 */
export function identityOf(
  spec: Pick<SandboxSpec, 'session' | 'mounts'>,
  runnerUid: number = process.getuid?.() ?? 0,
  ownerOf: (mount: Mount) => { uid: number; gid: number } = ownerOfMount,
): Identity {
  if (runnerUid !== 0) return { kind: 'own', uid: 1000, gid: 1000, rootEquivalent: false };
  const owners = spec.mounts.filter((mount) => mount.writable).map(ownerOf);
  if (owners.some((owner) => owner.uid === 0)) return { kind: 'own', uid: 1000, gid: 1000, rootEquivalent: true };
  const [first] = owners;
  if (first === undefined) {
    const uid = uidOfSession(spec.session);
    return { kind: 'dropped', uid, gid: uid };
  }
  if (owners.some((owner) => owner.uid !== first.uid)) {
    throw new Failure(
      'the writable mounts belong to different users',
      'the agent is one user: chown them to one, or mount all but one read-only',
    );
  }
  return { kind: 'dropped', uid: first.uid, gid: first.gid === 0 ? first.uid : first.gid };
}

function ownerOfMount(mount: Mount): { uid: number; gid: number } {
  try {
    return statSync(mount.source);
  } catch (error) {
    throw new Failure(`cannot mount ${mount.source}: ${(error as Error).message}`, 'does it exist?');
  }
}
