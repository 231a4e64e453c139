import type { GrantedApproval } from '../approvals/contract.ts';
import type { Denial } from '../denial.ts';
import type { AdmitCall, NamedLimit } from './contract.ts';
import { type RevokedState, revokedBy } from './revoked.ts';
import { noteRow, type RowContent } from './rows.ts';

/**
 * How a yes is used up: as a limit of its own, of as many calls as it allows and a period that outlives it. So it is charged
 * in the very commit that records the intent, or not at all, and what a crash leaves is one or the other. Pure.
 */
const MARGIN_MS = 3_600_000;

const limitOfApproval = (approval: GrantedApproval): NamedLimit => ({
  name: limitNameOf(approval),
  spec: { count: 1, periodMs: approval.goodForMs + MARGIN_MS, burst: approval.uses },
});

export const limitNameOf = ({ id }: GrantedApproval): string => `approval:${id}`;

export const limitsWith = (limits: readonly NamedLimit[], approval: GrantedApproval | null): readonly NamedLimit[] =>
  approval === null ? limits : [...limits, limitOfApproval(approval)];

/** A yes dies with the token that asked for it. */
export function approvalRevoked(state: RevokedState, { principal, approval = null }: AdmitCall): Denial | null {
  if (approval === null) return null;
  const by = revokedBy(state, { ...principal, ...approval.asker });
  return by === null ? null : { kind: 'approval_revoked', approval: approval.id, by };
}

/** The denial when a limit is used up. */
export const limitedDenial = (limit: string, retryAfterSeconds: number, approval: GrantedApproval | null): Denial =>
  approval !== null && limit === limitNameOf(approval)
    ? { kind: 'approval_used', approval: approval.id }
    : { kind: 'rate_limited', limit, retryAfterSeconds };

export const approvalUsedRow = (approval: GrantedApproval, { requestId, call }: AdmitCall): RowContent => ({
  ...noteRow({
    event: 'approval.used',
    requestId,
    agent: call.agent,
    session: call.session,
    tokenId: call.tokenId,
    capability: call.capability,
    service: call.service,
    operator: null,
    reason: null,
    detail: { approval: approval.id, of: approval.uses },
  }),
  requestHash: call.requestHash,
  policyHash: call.policyHash,
});
