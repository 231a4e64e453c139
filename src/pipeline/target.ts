import type { Access, CanonicalPath } from '../access.ts';
import type { Principal } from '../capability/principal.ts';
import type { Denial } from '../denial.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { canonicalPathOf } from '../policy/canonical-path.ts';
import { canonicalQueryOf } from '../policy/canonical-query.ts';
import { type AccessPlan, planAccess } from '../policy/decide.ts';
import type { ServicePolicy } from '../policy/ruled.ts';
import { compileService } from '../policy/service.ts';
import { isPresigned } from '../upstream/sigv4-target.ts';
import { virtualHostBucketOf } from '../upstream/virtual-host.ts';
import type { Authenticated, Call } from './call.ts';
import { requestHashOf } from './request-hash.ts';

/** What method, path and query give by themselves, for one token. */
export interface Target {
  readonly access: Access;
  readonly plan: AccessPlan;
  /** The request's hash when no body was read. */
  readonly bodilessHash: string;
}

interface Remembered {
  readonly policy: ServicePolicy;
  readonly principal: Principal;
  readonly target: Target;
}

/**
 * Targets that were judged in this isolate: an agent asks for the same again and again. Only what can never come out otherwise
 * is kept: a yes to the target, of one token under one policy. Conditions, fields, body, limits and revocation are judged on
 * every call.
 */
const remembered = new Map<string, Remembered>();
const MAX_REMEMBERED = 1_000;
/** A longer one is rare, and not worth its memory. */
const MAX_KEY = 512;

/** The target in its one canonical form, and what the rules and the token say to it before anything else is known. */
export function targetOf({ call, principal, token }: Authenticated, policy: ServicePolicy): Result<Target, Denial> {
  // Neither a method nor a raw path holds a space, and a path no question mark: no two targets give one key.
  const key = `${principal.tokenId} ${call.request.method} ${call.rawPath}?${call.query}`;
  const known = remembered.get(key);
  if (known !== undefined && known.policy === policy && known.principal === principal) return ok(known.target);

  const access = accessOf(call, policy);
  if (!access.ok) return access;
  const stray = strayTokenIn(token, access.value, policy);
  if (stray !== null) return err(stray);
  const plan = planAccess(compileService(policy), access.value, principal.capabilities);
  if (!plan.ok) return plan;
  const { method, path, query } = access.value;
  const bodilessHash = requestHashOf({ method, origin: policy.origin, path, query, body: null });
  const target = { access: access.value, plan: plan.value, bodilessHash };
  // A bucket stands in the Host field.
  if (key.length <= MAX_KEY && policy.credential.scheme !== 'sigv4') {
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(key, { policy, principal, target });
  }
  return ok(target);
}

function accessOf(
  { rawPath, query: rawQuery, request, fields, env }: Call,
  policy: ServicePolicy,
): Result<Access, Denial> {
  const path = canonicalPathOf(rawPath, policy.escapedSlash, policy.escapedPercent);
  if (!path.ok) return err({ kind: 'path_refused', why: path.error });
  const query = canonicalQueryOf(rawQuery, policy.credential);
  if (!query.ok) return err({ kind: 'query_refused', why: query.error });
  const bucket =
    policy.credential.scheme === 'sigv4' ? virtualHostBucketOf(fields.get('host') ?? '', env.KEYWARDEN_ISSUER) : null;
  const value = bucket === null ? path.value : (`/${bucket}${path.value}` as CanonicalPath);
  return ok({ service: policy.service, method: request.method, path: value, query: query.value });
}

/**
 * The token travels no further, wherever an odd client put a copy of it. `requestFields` drops fields that hold it, and the
 * canonical query has no place for a credential; in the path, or in any other parameter, dropping would change the request:
 * it is refused.
 */
function strayTokenIn(token: string, access: Access, policy: ServicePolicy): Denial | null {
  if (access.path.includes(token)) return { kind: 'query_refused', why: 'the path holds the capability token' };
  const isOwn = (name: string): boolean => policy.credential.scheme === 'sigv4' && isPresigned(name);
  const stray = access.query.split('&').some((pair) => pair.includes(token) && !isOwn(pair.split('=', 1)[0] ?? ''));
  return stray ? { kind: 'query_refused', why: 'a parameter holds the capability token' } : null;
}
