import type { CallFields } from '../audit/event.ts';
import type { Principal } from '../capability/principal.ts';
import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import type { Authorized, Call } from './call.ts';

const MAX_TEXT = 512;

/** What is known of a call, as the audit row says it; before authorization only what the client claimed. */
export function callFieldsOf(
  call: Call,
  edge: Edge,
  known: { readonly principal?: Principal; readonly authorized?: Authorized; readonly denial?: Denial },
): CallFields {
  const { principal, authorized } = known;
  return {
    agent: principal?.agent ?? null,
    session: principal?.session ?? null,
    tokenId: principal?.tokenId ?? null,
    capability: authorized?.capability.name ?? capabilityOf(known.denial),
    service: printable(call.service),
    method: printable(call.request.method).slice(0, 32),
    path: authorized?.access.path.slice(0, MAX_TEXT) ?? printable(call.rawPath),
    queryNames: queryNamesOf(call.query),
    requestHash: authorized?.requestHash ?? null,
    policyHash: edge.bundle.hash,
  };
}

/** The capability that the agent asked for in vain: what an auditor wants to count. */
function capabilityOf(denial: Denial | undefined): string | null {
  if (denial === undefined) return null;
  if (denial.kind === 'capability_missing') return denial.wouldAllow[0] ?? null;
  return 'capability' in denial ? denial.capability : null;
}

/** Names only: a value may be a secret. A pair without `=` is a name. */
function queryNamesOf(query: string): string {
  if (query === '') return '';
  const names = query.split('&').map((pair) => pair.split('=', 1)[0] ?? '');
  return printable([...new Set(names)].join(','));
}

/** Escapes what could break a line, a terminal or a page (threat 36), and bounds the length. */
function printable(text: string): string {
  const safe = text.slice(0, MAX_TEXT).replace(/[^\x21-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return safe.slice(0, MAX_TEXT);
}
