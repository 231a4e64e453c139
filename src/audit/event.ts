/**
 * The audit row: what is chained, stored in D1, listed and exported. Pure.
 * Never a header value, a body, or a query value: they may hold a secret.
 */

export type AuditDetail = Readonly<Record<string, string | number | boolean | null>>;

/** All events that there are. */
export const AUDIT_EVENTS = [
  'call.admitted', // the intent: durable before the credential is read
  'call.denied',
  'call.completed', // the outcome of an admitted call
  'call.failed',
  'call.unknown', // an intent whose outcome never came
  'token.minted',
  'token.refused',
  'token.revoked',
  'credential.echoed', // the upstream's answer held the credential; it was redacted
  'session.started',
  'session.stop_requested',
  'session.ended',
  'approval.requested',
  'approval.approved',
  'approval.denied',
  'approval.expired',
  'approval.used', // in the same commit as the intent that it allowed
  'audit.pruned', // old rows were removed by the retention, after their chain had been verified
  'console.signed_in',
  'console.signed_out',
  'stop.placed', // a service or everything: its tokens are revoked, and none is minted
  'stop.lifted',
  'signal.raised', // a threshold was passed
  'operator.denied',
] as const;

export type AuditEventName = (typeof AUDIT_EVENTS)[number];

/** What an intent or a denied call says. All strings bounded and printable ASCII by the time they are here. */
export interface CallFields {
  readonly agent: string | null;
  readonly session: string | null;
  readonly tokenId: string | null;
  /** The capability that allowed it, or the one that was asked for and refused. */
  readonly capability: string | null;
  readonly service: string | null;
  readonly method: string;
  /** Canonical path; for a path that could not be canonicalised, the raw one with every odd byte escaped, cut at 512. */
  readonly path: string;
  /** Names of the query's parameters, comma-separated, cut at 512; never values. */
  readonly queryNames: string;
  /** SHA-256 over method, origin, path, query and, if a rule read it, body. */
  readonly requestHash: string | null;
  readonly policyHash: string | null;
}

/** How an admitted call ended. */
export interface CallOutcome {
  readonly requestId: string;
  readonly event: 'call.completed' | 'call.failed';
  /** Unix ms. */
  readonly at: number;
  readonly status: number | null;
  /** A fault's code, for `call.failed`. */
  readonly reason: string | null;
  /** A fault's evidence: what its code leaves open. */
  readonly why?: string;
  readonly requestBytes: number | null;
  readonly responseBytes: number | null;
  /** From reading the request to the end of the answer. */
  readonly durationMs: number;
  /** How often the credential was redacted from the answer. */
  readonly redactions: number;
}

/** One stored row. Every column is covered by the hash, so that none can be altered alone. */
export interface AuditRow {
  readonly ledger: string;
  /** 1, 2, 3 … per ledger, without a gap. */
  readonly seq: number;
  /** Unix ms, never less than the row's before. */
  readonly at: number;
  readonly event: AuditEventName;
  readonly requestId: string;
  readonly agent: string | null;
  readonly session: string | null;
  readonly tokenId: string | null;
  readonly capability: string | null;
  readonly service: string | null;
  readonly method: string | null;
  readonly path: string | null;
  readonly queryNames: string | null;
  readonly decision: 'allow' | 'deny' | null;
  /** A denial's kind, a fault's code, or null. */
  readonly reason: string | null;
  readonly status: number | null;
  readonly requestBytes: number | null;
  readonly responseBytes: number | null;
  readonly durationMs: number | null;
  readonly redactions: number | null;
  readonly requestHash: string | null;
  readonly policyHash: string | null;
  readonly operator: string | null;
  /** JSON object: a denial's evidence and the like. */
  readonly detail: string;
  /** Hex SHA-256 of the row before; 64 zeros for the first. */
  readonly prevHash: string;
  /** Hex SHA-256(prevHash bytes ‖ canonical row). */
  readonly hash: string;
}
