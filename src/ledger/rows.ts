import type { UnlinkedRow } from '../audit/chain.ts';
import type { AuditDetail, CallFields, CallOutcome } from '../audit/event.ts';
import type { Denial } from '../denial.ts';
import { printable } from '../lib/printable.ts';
import type { LedgerNote } from './contract.ts';

/** A row before it has its place in a chain. */
export type RowContent = Omit<UnlinkedRow, 'ledger' | 'seq' | 'at'>;

/** What of an intent its outcome repeats, so that both are found by the same filters. */
export type OpenIntent = Pick<
  CallFields,
  'agent' | 'session' | 'tokenId' | 'capability' | 'service' | 'method' | 'path'
>;

export const openIntentOf = ({
  agent,
  session,
  tokenId,
  capability,
  service,
  method,
  path,
}: CallFields): OpenIntent => ({
  agent,
  session,
  tokenId,
  capability,
  service,
  method,
  path,
});

const NO_END = { status: null, requestBytes: null, responseBytes: null, durationMs: null, redactions: null } as const;
const NO_REQUEST = { queryNames: null, requestHash: null, policyHash: null } as const;

/** Written out, as is {@link outcomeRow}: of every call there is one, and to spread costs more than the rest of it. */
export const admittedRow = (requestId: string, call: CallFields): RowContent => ({
  event: 'call.admitted',
  requestId,
  agent: call.agent,
  session: call.session,
  tokenId: call.tokenId,
  capability: call.capability,
  service: call.service,
  method: call.method,
  path: call.path,
  queryNames: call.queryNames,
  decision: 'allow',
  reason: null,
  status: null,
  requestBytes: null,
  responseBytes: null,
  durationMs: null,
  redactions: null,
  requestHash: call.requestHash,
  policyHash: call.policyHash,
  operator: null,
  detail: '{}',
});

export const deniedRow = (requestId: string, call: CallFields, denial: Denial): RowContent => ({
  ...call,
  ...NO_END,
  event: 'call.denied',
  requestId,
  decision: 'deny',
  reason: denial.kind,
  operator: null,
  detail: JSON.stringify(evidenceOf(denial)),
});

export const outcomeRow = (intent: OpenIntent, outcome: CallOutcome): RowContent => ({
  event: outcome.event,
  requestId: outcome.requestId,
  agent: intent.agent,
  session: intent.session,
  tokenId: intent.tokenId,
  capability: intent.capability,
  service: intent.service,
  method: intent.method,
  path: intent.path,
  queryNames: null,
  decision: null,
  reason: outcome.reason,
  status: outcome.status,
  requestBytes: outcome.requestBytes,
  responseBytes: outcome.responseBytes,
  durationMs: Math.round(outcome.durationMs),
  redactions: outcome.redactions,
  requestHash: null,
  policyHash: null,
  operator: null,
  detail: outcome.why === undefined ? '{}' : JSON.stringify(harmless({ why: outcome.why })),
});

export const unknownRow = (requestId: string, intent: OpenIntent): RowContent => ({
  ...intent,
  ...NO_REQUEST,
  ...NO_END,
  event: 'call.unknown',
  requestId,
  decision: null,
  reason: 'outcome_never_came',
  operator: null,
  detail: '{}',
});

const REFUSED_EVENTS: ReadonlySet<string> = new Set(['token.refused', 'operator.denied']);

export const noteRow = (note: LedgerNote): RowContent => ({
  ...NO_REQUEST,
  ...NO_END,
  event: note.event,
  requestId: note.requestId,
  agent: note.agent,
  session: note.session,
  tokenId: note.tokenId,
  capability: note.capability,
  service: note.service,
  method: null,
  path: null,
  decision: REFUSED_EVENTS.has(note.event) ? 'deny' : null,
  reason: note.reason,
  operator: note.operator,
  detail: JSON.stringify(harmless(note.detail)),
});

const MAX_EVIDENCE = 512;

/** A denial's evidence without its kind; lists become one text, and no text is long. */
function evidenceOf({ kind: _, ...evidence }: Denial): AuditDetail {
  return Object.fromEntries(
    Object.entries(evidence as Record<string, unknown>).map(([name, value]) => {
      if (typeof value === 'number' || typeof value === 'boolean') return [name, value];
      return [name, printable(Array.isArray(value) ? value.join(' ') : String(value), MAX_EVIDENCE)];
    }),
  );
}

/** The same for what a note says: a path that a stranger asked for, say. */
const harmless = (detail: AuditDetail): AuditDetail =>
  Object.fromEntries(
    Object.entries(detail).map(([name, value]) => [
      name,
      typeof value === 'string' ? printable(value, MAX_EVIDENCE) : value,
    ]),
  );
