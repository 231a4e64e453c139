import type { Denial } from '../denial.ts';
import { type FieldMap, lengthOf } from '../lib/fields.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { decideAccess } from '../policy/decide.ts';
import type { RequestFacts } from '../policy/facts.ts';
import { BODILESS } from '../policy/template.ts';
import { judgedFields, requestFields } from '../upstream/fields.ts';
import type { Authenticated, Authorized } from './call.ts';
import { type BodyRead, readBody } from './read-body.ts';
import { requestHashOf } from './request-hash.ts';
import { targetOf } from './target.ts';

/**
 * Step 2: may this be done? Token and policy may each only say no; what nobody forbade and a rule allows, happens.
 * What is judged here is what goes on the wire: one canonical path, one query, one body, and the fields that say what it is.
 */
export async function authorize(authenticated: Authenticated): Promise<Result<Authorized, Denial>> {
  const { call, principal, token } = authenticated;
  const { policy, request } = call;
  if (policy === null) return err({ kind: 'service_unknown', service: call.service });

  const target = targetOf(authenticated, policy);
  if (!target.ok) return target;
  const { access, plan, bodilessHash } = target.value;
  const fields = requestFields(call.fields, { ...policy, ranges: policy.response.ranges, token });
  if (!fields.ok) return fields;
  if (BODILESS.has(request.method) && hasBody(call.fields)) {
    return err({ kind: 'header_refused', header: 'content-length', why: `a ${request.method} with a body` });
  }

  const judged = { request, fields: judgedFields(call.fields, token) };
  const body = plan.needsBody ? await readBody(judged, policy.maxBodyBytes) : null;
  if (body !== null && !body.ok) return body;
  const decision = decideAccess(plan, {
    query: access.query,
    headers: judged.fields,
    ...bodyFactsOf(body === null ? null : body.value),
    agent: principal.agent,
    session: principal.session,
    now: call.startedAt,
  });
  if (!decision.ok) return decision;
  // A person agrees to exactly one body: it is read even if no rule needs it.
  const spec = decision.value.approval;
  const shown = spec === null || body !== null ? body : await readBody(judged, policy.maxBodyBytes);
  if (shown !== null && !shown.ok) return shown;

  // Without content, `Content-Length: 0` or a rule that reads bodies makes an empty one, with which no GET can be sent.
  const content = BODILESS.has(request.method) ? null : request.body;
  const bytes = shown === null || content === null ? null : shown.value.bytes;
  const outgoing = {
    method: request.method,
    origin: policy.origin,
    path: access.path,
    query: access.query,
    fields: fields.value,
    body: bytes ?? content,
    bodyLength: bytes?.byteLength ?? lengthOf(call.fields),
  };
  return ok({
    call,
    principal,
    access,
    policy,
    capability: decision.value.capability,
    outgoing,
    requestHash: bytes === null ? bodilessHash : requestHashOf({ ...outgoing, body: bytes }),
    approval: spec === null || shown === null ? null : { spec, operation: decision.value.operation, body: shown.value },
  } as Authorized);
}

function bodyFactsOf(body: BodyRead | null): Pick<RequestFacts, 'body' | 'bodyRefusal'> {
  if (body === null) return {};
  return body.parsed.ok ? { body: body.parsed.value } : { bodyRefusal: body.parsed.error };
}

const hasBody = (fields: FieldMap): boolean => fields.has('transfer-encoding') || (lengthOf(fields) ?? 0) > 0;
