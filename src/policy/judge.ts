import type { Access, BodyValue } from '../access.ts';
import type { BodyRefusal, Denial } from '../denial.ts';
import { err, type Result } from '../lib/result.ts';
import { parseBody } from './body.ts';
import { canonicalPathOf } from './canonical-path.ts';
import { canonicalQueryOf } from './canonical-query.ts';
import { type AccessGrant, type AccessPlan, decideAccess, planAccess } from './decide.ts';
import type { RequestFacts } from './facts.ts';
import { methodOverrideIn } from './method-override.ts';
import type { PolicyBundle } from './ruled.ts';
import { compileService, serviceOf } from './service.ts';
import { BODILESS } from './template.ts';

/** A request that nobody sends: what fixtures and explanations ask about. */
export interface SupposedRequest {
  readonly service: string;
  readonly method: string;
  /** As on the request line after `/proxy/<service>`, with its query. */
  readonly target: string;
  /** Full names of the capabilities that the token would carry. */
  readonly can: readonly string[];
  readonly agent: string;
  readonly session: string | null;
  readonly headers: ReadonlyMap<string, string>;
  /** Null: no body. */
  readonly body: string | null;
  /** Unix milliseconds. */
  readonly now: number;
}

/** What the edge would decide, and how far it came. */
export interface Judgement {
  readonly access: Access | null;
  readonly plan: AccessPlan | null;
  readonly facts: RequestFacts | null;
  readonly decision: Result<AccessGrant, Denial>;
}

/** Decides as the edge does: canonical path and query, rules, the body only if a rule needs it, conditions. */
export function judgeAccess(bundle: PolicyBundle, request: SupposedRequest): Judgement {
  const nothing = { access: null, plan: null, facts: null };
  const policy = serviceOf(bundle, request.service);
  if (policy === null) return { ...nothing, decision: err({ kind: 'service_unknown', service: request.service }) };
  const cut = request.target.indexOf('?');
  const path = canonicalPathOf(
    cut === -1 ? request.target : request.target.slice(0, cut),
    policy.escapedSlash,
    policy.escapedPercent,
  );
  if (!path.ok) return { ...nothing, decision: err({ kind: 'path_refused', why: path.error }) };
  const query = canonicalQueryOf(cut === -1 ? '' : request.target.slice(cut + 1), policy.credential);
  if (!query.ok) return { ...nothing, decision: err({ kind: 'query_refused', why: query.error }) };

  const access: Access = { service: policy.service, method: request.method, path: path.value, query: query.value };
  const plan = planAccess(compileService(policy), access, new Set(request.can));
  if (!plan.ok) return { ...nothing, access, decision: plan };
  const override = methodOverrideIn(request.headers);
  if (override !== null) return { ...nothing, access, decision: err(override) };
  if (BODILESS.has(request.method) && request.body !== null && request.body !== '') {
    const why = `a ${request.method} with a body`;
    return { ...nothing, access, decision: err({ kind: 'header_refused', header: 'content-length', why }) };
  }
  const facts: RequestFacts = {
    query: access.query,
    headers: request.headers,
    ...(plan.value.needsBody ? bodyFactsOf(request, policy.maxBodyBytes) : {}),
    agent: request.agent,
    session: request.session,
    now: request.now,
  };
  if (facts.bodyRefusal === 'too_large' || facts.bodyRefusal === 'method_override') {
    return { access, plan: plan.value, facts, decision: err({ kind: 'body_refused', why: facts.bodyRefusal }) };
  }
  return { access, plan: plan.value, facts, decision: decideAccess(plan.value, facts) };
}

function bodyFactsOf(request: SupposedRequest, maxBytes: number): { body: BodyValue } | { bodyRefusal: BodyRefusal } {
  const bytes = new TextEncoder().encode(request.body ?? '');
  if (bytes.byteLength > maxBytes) return { bodyRefusal: 'too_large' };
  const parsed = parseBody(
    bytes,
    request.headers.get('content-type') ?? null,
    request.headers.get('content-encoding') ?? null,
  );
  return parsed.ok ? { body: parsed.value } : { bodyRefusal: parsed.error };
}

/** `METHOD /path?query` in its parts; null when it is no such line. */
export function requestLineOf(text: string): { method: string; target: string } | null {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S*)$/.exec(text);
  return match === null ? null : { method: match[1] as string, target: match[2] as string };
}
