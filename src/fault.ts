/** The world broke: not the agent's doing, not a bug. Carries a code for the client and evidence for the log. */
export type Fault = PlainFault | UnsignableFault;

interface Evidence {
  readonly kind: 'fault';
  /** Whether the same request may be sent again. */
  readonly retryable: boolean;
  /** Evidence for the audit row; never a secret, never text by the upstream. */
  readonly detail: string;
}

export interface PlainFault extends Evidence {
  readonly code: Exclude<FaultCode, 'request_unsignable'>;
}

/** A request to which a signature cannot be put; the client can mend it, if it hears what is wrong. */
export interface UnsignableFault extends Evidence {
  readonly code: 'request_unsignable';
  readonly why: UnsignableReason;
}

export type UnsignableReason =
  | 'scope' // nobody names a region and a service
  | 'path'
  | 'query'
  | 'escapes' // path or query, characters that go out otherwise than they were signed
  | 'body_coding' // the fields do not say how the body is coded
  | 'body_malformed' // the body is not coded as they say
  | 'body_digest'
  | 'body_length'; // too large to be hashed here

export type FaultCode =
  | 'upstream_unreachable' // 502
  | 'upstream_protocol_error' // 502
  | 'upstream_timeout' // 504
  | 'upstream_redirect_refused' // 502
  | 'upstream_coding_unsupported' // 502
  | 'client_cancelled' // 499 in the audit only
  | 'request_unsignable' // 400: a request that a signing scheme cannot take
  | 'ledger_unavailable' // 503
  | 'ledger_full' // 503
  | 'approvals_unavailable' // 503
  | 'environment_broken'; // 503

export const fault = (code: PlainFault['code'], detail: string, retryable = false): PlainFault => ({
  kind: 'fault',
  code,
  detail,
  retryable,
});

export const unsignable = (why: UnsignableReason, detail: string): UnsignableFault => ({
  kind: 'fault',
  code: 'request_unsignable',
  why,
  detail,
  retryable: false,
});
