import type { Question } from '../../src/approvals/state.ts';

/** What an agent asks, where a test does not care. */
export const questionOf = (more: Partial<Question> = {}): Question => ({
  agent: 'agent-1',
  session: 'session-1',
  tokenId: 'token-1',
  tokenIssuedAtMs: 1_000_000,
  tokenExpiresAtMs: 9e15,
  capability: 'bank:pay',
  binding: 'binding-1',
  alikeKey: null,
  alikeCount: 0,
  alikeForMs: 0,
  count: 1,
  ttlMs: 600_000,
  reviewers: null,
  separate: false,
  ...more,
});
