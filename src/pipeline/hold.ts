import type { BodyValue } from '../access.ts';
import { askDesk, waitAtDesk } from '../approvals/client.ts';
import type { GrantedApproval, Shown, ShownBody } from '../approvals/contract.ts';
import { type Mask, shownHeader, shownPlain, shownQuery, shownText, shownTree } from '../approvals/shown.ts';
import type { Question } from '../approvals/state.ts';
import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import { type Fault, fault } from '../fault.ts';
import { peek } from '../ledger/client.ts';
import { sha256Hex } from '../lib/digest.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { credentialMask } from '../upstream/known-secrets.ts';
import type { Authorized, Held, NeededApproval } from './call.ts';
import { bindingOf, boundFields } from './request-hash.ts';

export interface NotHeld {
  readonly reason: Denial | Fault;
  readonly fields: Readonly<Record<string, string>>;
}

const DEFAULT_WAIT_SECONDS = 25;
const MAX_WAIT_SECONDS = 120;
/** A wait at the desk ends after this and is begun again: so it survives the desk's restart, and none is left behind long. */
const SLICE_MS = 10_000;
const FLOOD_RETRY_SECONDS = 60;

/**
 * Step 3: a call that a person must agree to waits here for a while. Its going away ends the wait, not the question.
 *
 * What comes back is a yes that the ledger will count: not yet its use. So a call that is lost between here and there has
 * used nothing, and a second one with the same yes is refused there (docs/decisions/0007).
 */
export async function hold(authorized: Authorized, edge: Edge): Promise<Result<Held, NotHeld>> {
  const { approval, call, principal } = authorized;
  if (approval === null) return ok({ authorized, grant: null, fields: {} } as unknown as Held);

  const standing = await peek(call.env, principal, []);
  if (!standing.ok) return no(standing.error);
  if (standing.value.revokedBy !== null) return no({ kind: 'token_revoked', by: standing.value.revokedBy });

  const question = questionOf(authorized, approval, edge);
  const ask = { question, shown: shownOf(authorized, approval, edge), requestId: call.requestId };
  const wait = waitOf(call.request.headers.get('prefer'));
  const deadline = Date.now() + wait.ms;
  const capability = question.capability;
  for (;;) {
    const answer = await askDesk(call.env, ask);
    if (!answer.ok) return no(answer.error, wait.fields);
    switch (answer.value.kind) {
      case 'granted':
        return granted(answer.value.grant);
      case 'denied':
        return no({ kind: 'approval_denied', capability, approval: answer.value.id }, wait.fields);
      case 'flood': {
        const { bound, most } = answer.value;
        return no({ kind: 'approval_flood', capability, bound, most, retryAfterSeconds: FLOOD_RETRY_SECONDS });
      }
      case 'pending': {
        const { id } = answer.value;
        const ended = await waited(id);
        const fields = { ...wait.fields, ...statusFields(call.publicOrigin, id) };
        if (typeof ended !== 'string') return no(ended, fields);
        if (ended === 'time') return no({ kind: 'approval_pending', capability, approval: id }, fields);
        if (ended === 'denied') return no({ kind: 'approval_denied', capability, approval: id }, fields);
        if (ended === 'expired') return no({ kind: 'approval_expired', capability, approval: id }, fields);
        if (ended === 'used') return no({ kind: 'approval_used', approval: id }, fields);
      }
    }
  }

  function granted(grant: GrantedApproval): Result<Held, NotHeld> {
    // Held for two minutes, the token may have come to its end.
    if (principal.expiresAtMs <= Date.now()) return no({ kind: 'token_expired' });
    return ok({ authorized, grant, fields: wait.fields } as unknown as Held);
  }

  /** `again`: ask once more, a yes may be there. */
  async function waited(id: string): Promise<'again' | 'time' | 'denied' | 'expired' | 'used' | Fault> {
    for (;;) {
      const left = deadline - Date.now();
      if (left <= 0) return 'time';
      const { signal } = call.request;
      const outcome = await Promise.race([waitAtDesk(call.env, id, Math.min(left, SLICE_MS)), goneAway(signal)]);
      if (outcome === 'gone') return fault('client_cancelled', 'while its approval was pending');
      if (!outcome.ok) return outcome.error;
      if (outcome.value === 'approved' || outcome.value === 'kin') return 'again';
      if (outcome.value === 'full') return 'time';
      if (outcome.value !== 'pending') return outcome.value;
    }
  }
}

const no = (
  reason: Denial | Fault,
  fields: Readonly<Record<string, string>> = {},
): { readonly ok: false; readonly error: NotHeld } => err({ reason, fields }) as never;

const goneAway = (signal: AbortSignal): Promise<'gone'> =>
  signal.aborted
    ? Promise.resolve('gone')
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve('gone'), { once: true }));

/** `Prefer: wait=N` (RFC 7240 §4.3). */
export function waitOf(prefer: string | null): {
  readonly ms: number;
  readonly fields: Readonly<Record<string, string>>;
} {
  const said = /(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[;,]|$)/i.exec(prefer ?? '')?.[1];
  if (said === undefined) return { ms: DEFAULT_WAIT_SECONDS * 1000, fields: {} };
  const seconds = Math.min(Number(said), MAX_WAIT_SECONDS);
  return { ms: seconds * 1000, fields: { 'preference-applied': `wait=${seconds}` } };
}

/** Where the client may look (RFC 8631 §4.1 `status`). */
const statusFields = (publicOrigin: string, id: string): Readonly<Record<string, string>> => ({
  link: `<${publicOrigin}/v1/approvals/${id}>; rel="status"`,
  'keywarden-approval': id,
});

function questionOf({ principal, capability, outgoing }: Authorized, needed: NeededApproval, edge: Edge): Question {
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
    ['content-type', outgoing.headers.get('content-type') ?? ''],
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

const MAX_FIELDS = 40;
/** Bound like any other, and of no interest. */
const DULL = new Set(['accept', 'accept-language', 'content-type', 'connection', 'sec-fetch-mode']);

function shownOf({ call, capability, outgoing, policy }: Authorized, needed: NeededApproval, edge: Edge): Shown {
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
    headers: boundFields(outgoing.headers)
      .filter(([name]) => !DULL.has(name))
      .slice(0, MAX_FIELDS)
      .map(([name, value]) => ({ name, value: shownHeader(name, value, mask) })),
    body: shownBodyOf(outgoing.headers.get('content-type'), needed, mask),
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
