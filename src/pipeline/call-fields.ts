import type { CallFields } from '../audit/event.ts';
import type { Principal } from '../capability/principal.ts';
import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import { withoutJwts } from '../lib/jwts-in-text.ts';
import { printable } from '../lib/printable.ts';
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
    service: word(call.service),
    method: word(call.request.method).slice(0, 32),
    path: authorized === undefined ? word(call.rawPath) : withoutTokens(authorized.access.path).slice(0, MAX_TEXT),
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
  return word([...new Set(names)].join(','));
}

/** A capability token, or another JWT (RFC 7519), wherever a client put it: to read the audit is not to hold what agents hold. */
const withoutTokens = (text: string): string => withoutJwts(text, '[token]', { payload: 1, signature: null });

/** Client text without spaces: a row's fields are single words. */
const word = (text: string): string => printable(withoutTokens(text), MAX_TEXT).replaceAll(' ', '\\u0020');
