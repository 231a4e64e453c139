import type { AuditRow } from '../audit/event.ts';
import { AuditRowJson } from '../protocol.ts';

/**
 * A row of the audit as our API gives it. Whoever can write to the database can put anything into it: what the edge never writes
 * is named as unreadable, and does not keep the rows around it, nor the rest of its own, from being read. Whether a row that
 * can be read was altered is told by the verification alone.
 */
export function jsonOfRow(row: AuditRow): AuditRowJson {
  const json = {
    ledger: row.ledger,
    seq: row.seq,
    at: timeOf(row.at),
    event: row.event,
    request_id: row.requestId,
    agent: row.agent,
    session: row.session,
    token_id: row.tokenId,
    capability: row.capability,
    service: row.service,
    method: row.method,
    path: row.path,
    query_names: row.queryNames,
    decision: row.decision,
    reason: row.reason,
    status: row.status,
    request_bytes: row.requestBytes,
    response_bytes: row.responseBytes,
    duration_ms: row.durationMs,
    redactions: row.redactions,
    request_hash: row.requestHash,
    policy_hash: row.policyHash,
    operator: row.operator,
    detail: detailOf(row.detail),
    prev_hash: row.prevHash,
    hash: row.hash,
  };
  const parsed = AuditRowJson.safeParse(json);
  if (parsed.success) return parsed.data;
  const unreadable = [...new Set(parsed.error.issues.map(({ path }) => String(path[0])))];
  const instead = unreadable.map((name) => [name, Object.hasOwn(INSTEAD, name) ? INSTEAD[name] : null]);
  return { ...json, ...Object.fromEntries(instead), unreadable };
}

/** Where there must be a value: one that no row has. */
const INSTEAD: Readonly<Record<string, unknown>> = {
  ledger: '',
  seq: 0,
  at: new Date(0).toISOString(),
  event: '',
  request_id: '',
  detail: {},
  prev_hash: '',
  hash: '',
};

function timeOf(at: unknown): unknown {
  const time = typeof at === 'number' ? new Date(at) : null;
  return time === null || Number.isNaN(time.getTime()) ? at : time.toISOString();
}

function detailOf(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return text;
  }
}
