import { sha256Hex } from '../lib/digest.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { isGroupName, isRole, type Operator, ROLES, type Role } from './roles.ts';

/** Operators by the SHA-256 of their key: the keys themselves are stored nowhere at the edge. */
export type OperatorKeys = ReadonlyMap<string, Operator>;

/**
 * Parses `KEYWARDEN_OPERATORS`: JSON `[{ "id": "alice", "roles": ["mint"], "sha256": "<64 hex digits>" }]`,
 * with `"groups": ["finance"]` for those whom a policy's `reviewers: finance` means.
 * A plain hash is enough since the keys carry 256 bits of randomness; they are made by `keywarden keys create`.
 */
export function parseOperatorKeys(text: string | undefined): Result<OperatorKeys, string> {
  let list: unknown;
  try {
    list = JSON.parse(text ?? '');
  } catch {
    return err('it is not set or no JSON');
  }
  if (!Array.isArray(list) || list.length === 0) return err('it is no list of operators');
  const keys = new Map<string, Operator>();
  for (const [i, entry] of list.entries()) {
    const { id, roles, groups, sha256 } = (entry ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(id))
      return err(`entry ${i + 1} has no valid id`);
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
      return err(`entry ${i + 1} has no sha256 of 64 lower-case hex digits`);
    if (!Array.isArray(roles) || roles.length === 0 || !roles.every(isRole)) {
      return err(`entry ${i + 1} has no roles out of ${ROLES.join(', ')}`);
    }
    if (keys.has(sha256)) return err(`entry ${i + 1} repeats the key of another`);
    if (groups !== undefined && !(Array.isArray(groups) && groups.every(isGroupName)))
      return err(`entry ${i + 1} has no valid groups`);
    keys.set(sha256, {
      id,
      roles: new Set<Role>(roles),
      ...(groups === undefined ? {} : { groups: new Set(groups) }),
    });
  }
  return ok(keys);
}

/** Looks a presented key up by its hash, so that comparing leaks nothing about the key by time. */
export const operatorOf = (keys: OperatorKeys, presented: string): Operator | null =>
  keys.get(sha256Hex(presented)) ?? null;
