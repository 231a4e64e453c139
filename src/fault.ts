/** The world broke: not the agent's doing, not a bug. Carries a code for the client and evidence for the log. */
export interface Fault {
  readonly kind: 'fault';
  readonly code: FaultCode;
  /** Whether the same request may be sent again. */
  readonly retryable: boolean;
  /** Evidence for the audit row; never a secret, never text by the upstream. */
  readonly detail: string;
}

export type FaultCode =
  | 'upstream_unreachable' // 502
  | 'upstream_protocol_error' // 502
  | 'upstream_timeout' // 504
  | 'upstream_redirect_refused' // 502
  | 'upstream_coding_unsupported' // 502
  | 'client_cancelled' // 499 in the audit only
  | 'request_unsignable' // 400: a body that a signing scheme cannot take
  | 'ledger_unavailable' // 503
  | 'ledger_full' // 503
  | 'approvals_unavailable' // 503
  | 'environment_broken'; // 503

export const fault = (code: FaultCode, detail: string, retryable = false): Fault => ({
  kind: 'fault',
  code,
  detail,
  retryable,
});
