/**
 * The steps of a session's life, in their order. The runner may be killed after any of them (`kill -9`, a crash, a power
 * cut): whatever stands then is found by the lease and ended by the next sweep. Tests kill it after each one.
 */
export const SESSION_STEPS = [
  'lease_drafted',
  'lease_written',
  'announced',
  'token_minted',
  'token_leased',
  'egress_open',
  'traced',
  'sandbox_started',
  'running',
  'ending',
  'stopped',
  'revoked',
  'swept',
  'receipt_signed',
  'receipt_written',
  'receipt_sent',
  'lease_removed',
] as const;

export type SessionStep = (typeof SESSION_STEPS)[number];

/** Told of every step when it is done. */
export type Observer = (step: SessionStep) => void;
