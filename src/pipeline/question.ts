import type { BodyValue } from '../access.ts';
import type { Shown, ShownBody } from '../approvals/contract.ts';
import { type Mask, shownHeader, shownPlain, shownQuery, shownText, shownTree } from '../approvals/shown.ts';
import type { Question } from '../approvals/state.ts';
import type { Edge } from '../edge.ts';
import { sha256Hex } from '../lib/digest.ts';
import { credentialMask } from '../upstream/known-secrets.ts';
import type { Authorized, NeededApproval } from './call.ts';
import { bindingOf, boundFields } from './request-hash.ts';

/** What is asked, and by what it is found again. */
export function questionOf(
  { principal, capability, outgoing }: Authorized,
  needed: NeededApproval,
  edge: Edge,
): Question {
  const { spec } = needed;
  const { agent, session } = principal;
  const policyHash = edge.bundle.hash;
  const pattern = patternOf(outgoing, needed);
  return {
    agent,
    session,
    tokenId: principal.tokenId,
    tokenIssuedAtMs: principal.issuedAtMs,
    tokenExpiresAtMs: principal.expiresAtMs,
    capability: capability.name,
    binding: bindingOf({
      ...outgoing,
      agent,
      session,
      capability: capability.name,
      body: needed.body.bytes,
      policyHash,
    }),
    alikeKey:
      pattern === null
        ? null
        : sha256Hex(
            JSON.stringify([
              'keywarden.alike.1',
              agent,
              session,
              principal.tokenId,
              capability.name,
              pattern,
              policyHash,
            ]),
          ),
    alikeCount: spec.alike?.count ?? 0,
    alikeForMs: spec.alike?.forMs ?? 0,
    count: spec.count,
    ttlMs: spec.ttlMs,
    reviewers: spec.reviewers,
    separate: spec.separate === true,
  };
}

/**
 * What calls share that one yes may cover: the rule, the kind of body, and what the policy wants the same. Null when the
 * policy permits no such yes, or when what must be the same cannot be read of this call.
 */
function patternOf(
  outgoing: Authorized['outgoing'],
  { spec, operation, body }: NeededApproval,
): [name: string, value: string][] | null {
  if (spec.alike === undefined) return null;
  const pattern: [string, string][] = [
    ['operation', operation],
    ['origin', outgoing.origin],
    ['method', outgoing.method],
    ['content-type', outgoing.fields.get('content-type') ?? ''],
  ];
  for (const name of spec.alike.same) {
    if (name === 'path' || name === 'query') {
      pattern.push([name, outgoing[name]]);
      continue;
    }
    const fields: BodyValue = body.parsed.ok ? body.parsed.value : null;
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return null;
    const field = name.slice('body.'.length);
    pattern.push([name, Object.hasOwn(fields, field) ? JSON.stringify(fields[field]) : '']);
  }
  return pattern;
}

/** Bound like any other, and of no interest. */
const DULL = new Set(['accept', 'accept-language', 'content-type', 'connection', 'sec-fetch-mode']);

/** What reviewers see of it: every field, of which `requestFields` has bounded the number. */
export function shownOf({ call, capability, outgoing, policy }: Authorized, needed: NeededApproval, edge: Edge): Shown {
  const mask = credentialMask(call.env, edge.bundle);
  const query = outgoing.query === '' ? '' : `?${shownQuery(outgoing.query, mask)}`;
  return {
    service: policy.service,
    service_title: policy.title,
    capability_title: capability.title,
    capability_description: capability.description,
    operation: needed.operation,
    because: needed.spec.when,
    method: outgoing.method,
    url: `${outgoing.origin}${shownText(outgoing.path, mask, 2000)}${query}`,
    headers: boundFields(outgoing.fields)
      .filter(([name]) => !DULL.has(name))
      .map(([name, value]) => ({ name: shownText(name, mask, 100), value: shownHeader(name, value, mask) })),
    body: shownBodyOf(outgoing.fields.get('content-type') ?? null, needed, mask),
    pattern:
      patternOf(outgoing, needed)?.map(([name, value]) => ({
        name,
        value: name === 'query' ? shownQuery(value, mask) : shownText(value, mask, 200),
      })) ?? null,
    policy_hash: edge.bundle.hash,
  };
}

function shownBodyOf(contentType: string | null, { body }: NeededApproval, mask: Mask): ShownBody {
  const { bytes, parsed } = body;
  const base = {
    content_type: contentType === null ? null : shownText(contentType, mask, 200),
    bytes: bytes.byteLength,
    sha256: sha256Hex(bytes),
  };
  if (bytes.byteLength === 0) return { ...base, form: 'none', value: null, unreadable: null };
  if (parsed.ok) return { ...base, form: 'tree', value: shownTree(parsed.value, mask), unreadable: null };
  const value = parsed.error === 'content_coding' ? null : shownPlain(bytes, mask);
  return { ...base, form: value === null ? 'binary' : 'text', value, unreadable: parsed.error };
}
