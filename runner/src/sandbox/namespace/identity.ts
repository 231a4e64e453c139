import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { Failure } from '../../failure.ts';
import { textOf } from '../../state/text-of.ts';
import type { Mount, SandboxSpec } from '../backend.ts';

/**
 * Who the agent is to the kernel.
 *
 * - `own`: the runner's own user, in a user namespace, as 1000. All that an unprivileged user can have; and who is root only in
 *   a user namespace (a container without root, `unshare -r`), whom the kernel knows as that user.
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
  uidMap: string = textOf('/proc/self/uid_map'),
): Identity {
  if (runnerUid !== 0 || outerUid(0, uidMap) !== 0) return { kind: 'own', uid: 1000, gid: 1000, rootEquivalent: false };
  const owners = spec.mounts.filter((mount) => mount.writable).map(ownerOf);
  if (owners.some((owner) => owner.uid === 0)) return { kind: 'own', uid: 1000, gid: 1000, rootEquivalent: true };
  const [first] = owners;
  if (first === undefined) {
    const uid = uidOfSession(spec.session);
    if (outerUid(uid, uidMap) === null)
      throw new Failure('root of this user namespace has no uid that it could give to the agent', [
        'run keywarden as an ordinary user, or outside of the user namespace',
      ]);
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

/** What a uid of ours is called outside, in the parent of our user namespace (user_namespaces(7)); null: it is nobody's. */
function outerUid(uid: number, uidMap: string): number | null {
  for (const line of uidMap.trim().split('\n')) {
    const [inside = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
    if (uid >= inside && uid - inside < count) return outside + uid - inside;
  }
  return null;
}

function ownerOfMount(mount: Mount): { uid: number; gid: number } {
  try {
    return statSync(mount.source);
  } catch (error) {
    throw new Failure(`cannot mount ${mount.source}: ${(error as Error).message}`, 'does it exist?');
  }
}
