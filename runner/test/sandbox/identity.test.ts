import { describe, expect, it } from 'vitest';
import type { Mount } from '../../src/sandbox/backend.ts';
import { type Identity, identityOf } from '../../src/sandbox/namespace/identity.ts';
import { makeSessionId } from '../../src/session/session-id.ts';

const HOST = '0 0 4294967295';
const session = makeSessionId();

/** The agent of a runner, which mounts folders of these owners, writable unless it is said. */
function agentOf(
  owners: readonly (readonly [uid: number, gid: number, writable?: false])[],
  { uid = 0, uidMap = HOST, of = session } = {},
): Identity {
  const ownerOf = ({ source }: Mount) => {
    const [owner, group] = owners[Number(source)] ?? [0, 0];
    return { uid: owner, gid: group };
  };
  const mounts = owners.map(([, , writable = true], i) => ({ source: `${i}`, destination: `/${i}`, writable }));
  return identityOf({ session: of, mounts }, uid, ownerOf, uidMap);
}

describe('who the agent is', () => {
  const plainUser = { kind: 'own', uid: 1000, gid: 1000, rootEquivalent: false };
  it('of an ordinary user: that user, and never root', () =>
    expect(agentOf([[0, 0]], { uid: 1234 })).toEqual(plainUser));
  it('of root in a user namespace alone: the user that root is outside', () => {
    expect(agentOf([], { uidMap: '0 1000 1' })).toEqual(plainUser);
    expect(agentOf([[0, 0]], { uidMap: '1 100001 65536\n0 1000 1' })).toEqual(plainUser);
  });
  it('of root: somebody whom no account can be, another in each session', () => {
    const one = agentOf([[0, 0, false]]);
    expect(one).toEqual({ kind: 'dropped', uid: one.uid, gid: one.uid });
    expect(one.uid).toBeGreaterThanOrEqual(1_900_000_000);
    expect(one.uid).toBeLessThan(2 ** 31);
    expect(agentOf([])).toEqual(one);
    expect(agentOf([], { of: makeSessionId() }).uid).not.toBe(one.uid);
  });
  it("of root, where a user's folder may be written to: that user, and in no group of root's", () => {
    expect(agentOf([[1234, 100]])).toEqual({ kind: 'dropped', uid: 1234, gid: 100 });
    expect(agentOf([[1234, 0]])).toEqual({ kind: 'dropped', uid: 1234, gid: 1234 });
    expect(
      agentOf([
        [0, 0, false],
        [1234, 100],
      ]),
    ).toEqual({ kind: 'dropped', uid: 1234, gid: 100 });
  });
  it("of root, where a folder of root's may be written to: root's uid, which is told", () =>
    expect(
      agentOf([
        [1234, 100],
        [0, 0],
      ]),
    ).toEqual({ ...plainUser, rootEquivalent: true }));
  it('is nobody, where there is none that fits', () => {
    expect(() =>
      agentOf([
        [1234, 100],
        [1235, 100],
      ]),
    ).toThrow('the writable mounts belong to different users');
    expect(() => agentOf([], { uidMap: '0 0 65536' })).toThrow('has no uid that it could give to the agent');
  });
});
