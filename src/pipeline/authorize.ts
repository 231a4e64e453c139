import type { Access, CanonicalPath } from '../access.ts';
import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { canonicalPathOf } from '../policy/canonical-path.ts';
import { canonicalQueryOf } from '../policy/canonical-query.ts';
import { decideAccess, planAccess } from '../policy/decide.ts';
import type { RequestFacts } from '../policy/facts.ts';
import type { ServicePolicy } from '../policy/ruled.ts';
import { compileService } from '../policy/service.ts';
import { requestFields } from '../upstream/fields.ts';
import { virtualHostBucketOf } from '../upstream/virtual-host.ts';
import type { Authenticated, Authorized } from './call.ts';
import { type BodyRead, readBody } from './read-body.ts';
import { requestHashOf } from './request-hash.ts';

/**
 * Step 2: may this be done? Token and policy may each only say no; what nobody forbade and a rule allows, happens.
 * What is judged here is what goes on the wire: one canonical path, one query, one body.
 */
export async function authorize(
  { call, principal, token }: Authenticated,
  edge: Edge,
): Promise<Result<Authorized, Denial>> {
  const { policy, request } = call;
  if (policy === null) return err({ kind: 'service_unknown', service: call.service });

  const access = accessOf(call.rawPath, call.query, request, policy);
  if (!access.ok) return access;
  const headers = requestFields(request.headers, { ...policy, ranges: policy.response.ranges, token });
  if (!headers.ok) return headers;
  const stray = strayTokenIn(token, access.value, policy);
  if (stray !== null) return err(stray);
  const plan = planAccess(compileService(policy), access.value, principal.capabilities);
  if (!plan.ok) return plan;
  if (!mayHaveBody(request.method) && hasBody(request.headers)) {
    return err({ kind: 'header_refused', header: 'content-length', why: `a ${request.method} with a body` });
  }

  const body = plan.value.needsBody ? await readBody(request, policy.maxBodyBytes) : null;
  if (body !== null && !body.ok) return body;
  const decision = decideAccess(plan.value, {
    query: access.value.query,
    headers: request.headers,
    ...bodyFactsOf(body === null ? null : body.value),
    agent: principal.agent,
    session: principal.session,
    now: call.startedAt,
  });
  if (!decision.ok) return decision;
  // A person agrees to exactly one body: it is read even if no rule needs it.
  const spec = decision.value.approval;
  const shown = spec === null || body !== null ? body : await readBody(request, policy.maxBodyBytes);
  if (shown !== null && !shown.ok) return shown;

  const bytes = shown === null || (body === null && request.body === null) ? null : shown.value.bytes;
  const outgoing = {
    method: request.method,
    origin: policy.origin,
    path: access.value.path,
    query: access.value.query,
    headers: headers.value,
    body: bytes ?? request.body,
    bodyLength: bytes?.byteLength ?? declaredLength(request.headers),
  };
  return ok({
    call,
    principal,
    access: access.value,
    policy,
    capability: decision.value.capability,
    outgoing,
    requestHash: requestHashOf({ ...outgoing, body: bytes }),
    approval: spec === null || shown === null ? null : { spec, operation: decision.value.operation, body: shown.value },
  } as Authorized);
}

function accessOf(rawPath: string, rawQuery: string, request: Request, policy: ServicePolicy): Result<Access, Denial> {
  const path = canonicalPathOf(rawPath);
  if (!path.ok) return err({ kind: 'path_refused', why: path.error });
  const query = canonicalQueryOf(rawQuery);
  if (!query.ok) return err({ kind: 'query_refused', why: query.error });
  const bucket = policy.credential.scheme === 'sigv4' ? virtualHostBucketOf(request.headers.get('host') ?? '') : null;
  const value = bucket === null ? path.value : (`/${bucket}${path.value}` as CanonicalPath);
  return ok({ service: policy.service, method: request.method, path: value, query: query.value });
}

function bodyFactsOf(body: BodyRead | null): Pick<RequestFacts, 'body' | 'bodyRefusal'> {
  if (body === null) return {};
  return body.parsed.ok ? { body: body.parsed.value } : { bodyRefusal: body.parsed.error };
}

/**
 * The token travels no further, wherever an odd client put a copy of it. `requestFields` drops fields that hold it; in the
 * path, or in a parameter that is not the scheme's own, dropping would change the request: it is refused.
 */
function strayTokenIn(token: string, access: Access, policy: ServicePolicy): Denial | null {
  if (access.path.includes(token)) return { kind: 'query_refused', why: 'the path holds the capability token' };
  const own = policy.credential.scheme === 'query' ? policy.credential.param : null;
  const stray = access.query
    .split('&')
    .some((pair) => pair.includes(token) && pair.split('=', 1)[0] !== own && !/^x-amz-/i.test(pair));
  return stray ? { kind: 'query_refused', why: 'a parameter holds the capability token' } : null;
}

const mayHaveBody = (method: string): boolean => method !== 'GET' && method !== 'HEAD';

const hasBody = (headers: Headers): boolean => headers.has('transfer-encoding') || (declaredLength(headers) ?? 0) > 0;

/** Bytes by Content-Length (RFC 9110 §8.6), or null when it is absent or no plain number. */
function declaredLength(headers: Headers): number | null {
  const value = headers.get('content-length');
  return value !== null && /^\d{1,15}$/.test(value) ? Number(value) : null;
}
