import type { ApprovalDetail, ApprovalJson, ApprovalStatus } from '../protocol.ts';
import type { StoredApproval } from './contract.ts';
import { type Approval, stateAt } from './state.ts';

const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** What the asking agent may know. */
export const statusJson = (approval: Approval, now: number): ApprovalStatus => ({
  id: approval.id,
  state: stateAt(approval, now),
  created_at: new Date(approval.createdAt).toISOString(),
  expires_at: new Date(approval.expiresAt).toISOString(),
  decided_at: time(approval.decidedAt),
});

/** A line of the list, and what live reviewers are pushed. */
export const approvalJson = ({ approval, shown }: StoredApproval, now: number): ApprovalJson => ({
  ...statusJson(approval, now),
  agent_id: approval.agent,
  session_id: approval.session,
  capability: approval.capability,
  title: shown.capability_title,
  service: shown.service,
  method: shown.method,
  url: shown.url,
  asks: approval.asks,
  needed: approval.count,
  votes: approval.votes.map(({ operator, via, scope, at }) => ({
    operator,
    via,
    scope,
    at: new Date(at).toISOString(),
  })),
  reviewers: approval.reviewers,
  decided_by: approval.decidedBy,
  decided_via: approval.decidedVia,
  reason: approval.reason,
  allows:
    approval.scope === null
      ? null
      : {
          scope: approval.scope,
          calls: approval.uses,
          used: approval.usedBy.length,
          until: time(approval.expiresAt) ?? '',
        },
});

/** All that a reviewer decides by. */
export const detailJson = (stored: StoredApproval, recent: ApprovalDetail['recent'], now: number): ApprovalDetail => {
  const { approval, shown } = stored;
  return {
    ...approvalJson(stored, now),
    token_id: approval.tokenId,
    service_title: shown.service_title,
    description: shown.capability_description,
    operation: shown.operation,
    because: shown.because,
    headers: [...shown.headers],
    headers_more: shown.headers_more ?? 0,
    body: shown.body,
    request_hash: approval.binding,
    policy_hash: shown.policy_hash,
    would_allow: {
      once: { calls: 1, seconds: Math.round(approval.ttlMs / 1000) },
      alike:
        approval.alikeKey === null
          ? null
          : {
              calls: approval.alikeCount,
              seconds: Math.round(approval.alikeForMs / 1000),
              pattern: [...(shown.pattern ?? [])],
            },
    },
    used_by: [...approval.usedBy],
    recent,
  };
};
