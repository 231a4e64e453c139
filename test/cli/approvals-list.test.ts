import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ApprovalJson, ApprovalListResponse } from '../../src/protocol.ts';
import { type FakeEdge, startFakeEdge } from '../support/fake-edge.ts';
import { keywarden } from './command-line.ts';

let edge: FakeEdge;
beforeAll(async () => {
  edge = await startFakeEdge();
});
afterAll(() => edge.stop());

const approval: ApprovalJson = {
  id: '72cd48e4-e555-4d6e-a9f2-8d8109206faa',
  state: 'pending',
  created_at: '2026-11-27T03:44:00.000Z',
  expires_at: '2026-11-27T03:59:00.000Z',
  decided_at: null,
  agent_id: 'demo',
  session_id: null,
  capability: 'bank:pay',
  title: 'Pay',
  service: 'bank',
  method: 'POST',
  url: 'https://bank.example/v1/payments',
  asks: 1,
  needed: 1,
  votes: [],
  reviewers: null,
  decided_by: null,
  decided_via: null,
  reason: null,
  allows: null,
};

it.each(['50', '200'])('of more than --limit %s it is said how to see them', async (limit) => {
  edge.answer('/v1/approvals', { approvals: [approval], next_cursor: 'abc' } satisfies ApprovalListResponse);
  const { stdout, stderr } = await keywarden(['approvals', 'list', '--limit', limit], { env: edge.env });
  expect(stdout).toContain(approval.id);
  expect(stderr).toBe('keywarden: there are more: narrow it, or add --cursor abc\n');
  expect(edge.asked.at(-1)?.searchParams.get('limit')).toBe(limit);
  expect((await keywarden(['approvals', 'list', '--cursor', 'abc'], { env: edge.env })).code).toBe(0);
  expect(edge.asked.at(-1)?.searchParams.get('cursor')).toBe('abc');
});
