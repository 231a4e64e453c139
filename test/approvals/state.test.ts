import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Approval,
  type ApprovalState,
  answerTo,
  type Bounds,
  type Decider,
  type Decision,
  decided,
  ended,
  exhausted,
  opened,
  type Question,
  STATES,
  type Standing,
  stateAt,
  usedOnce,
} from '../../src/approvals/state.ts';

const T = 1_800_000_000_000;
const TTL = 600_000;
const question = (more: Partial<Question> = {}): Question => ({
  agent: 'agent-1',
  session: 's',
  tokenId: 't',
  tokenIssuedAtMs: T - 1000,
  tokenExpiresAtMs: T + 3_600_000,
  capability: 'bank:pay',
  binding: 'b1',
  alikeKey: null,
  alikeCount: 0,
  alikeForMs: 0,
  count: 1,
  ttlMs: TTL,
  reviewers: null,
  separate: false,
  ...more,
});
const asked = (more: Partial<Question> = {}): Approval => opened('id-1', question(more), T);
const by = (operator: string, more: Partial<Decider> = {}): Decider => ({
  operator,
  names: [operator, 'approve'],
  admin: false,
  minted: false,
  ...more,
});
const yes: Decision = { verdict: 'approve', scope: 'once', via: 'cli', reason: null };
const no: Decision = { ...yes, verdict: 'deny' };
const alike: Decision = { ...yes, scope: 'alike' };
const must = (result: ReturnType<typeof decided>): Approval => {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
};
const refusal = (result: ReturnType<typeof decided>): string => (result.ok ? 'ok' : result.error.kind);

const bounds: Bounds = { maxPending: 2, maxHourly: 5, maxDesk: 10 };
const standing = (more: Partial<Standing> = {}): Standing => ({
  same: [],
  kin: [],
  pendingOfAgent: 0,
  askedByAgentInLastHour: 0,
  pendingOfAll: 0,
  ...more,
});

describe('one decision', () => {
  it.each<[string, Approval, Decider, Decision, number, ApprovalState | string]>([
    ['a yes approves', asked(), by('alice'), yes, T, 'approved'],
    ['a no denies', asked(), by('alice'), no, T, 'denied'],
    ['a yes a moment before the end counts', asked(), by('alice'), yes, T + TTL - 1, 'approved'],
    ['at the end it is too late', asked(), by('alice'), yes, T + TTL, 'decided'],
    ['a no is too late then as well', asked(), by('alice'), no, T + TTL, 'decided'],
    ['a question ends with its token', asked({ tokenExpiresAtMs: T + 10 }), by('alice'), yes, T + 10, 'decided'],
    ['the agent cannot decide', asked(), by('agent-1'), yes, T, 'requester'],
    ['the agent cannot, even as an admin', asked(), by('agent-1', { admin: true }), yes, T, 'requester'],
    ['who minted the token may, unless kept apart', asked(), by('alice', { minted: true }), yes, T, 'approved'],
    ['who minted it may not', asked({ separate: true }), by('alice', { minted: true }), yes, T, 'requester'],
    ['the agent cannot, written otherwise', asked({ agent: 'bot' }), by('Bot'), yes, T, 'requester'],
    ['nor with its name written otherwise itself', asked({ agent: 'Bot' }), by('bot'), yes, T, 'requester'],
    ['others may then', asked({ separate: true }), by('bob'), yes, T, 'approved'],
    ['not of the group', asked({ reviewers: 'finance' }), by('alice'), yes, T, 'not_a_reviewer'],
    ['not of the group: a no neither', asked({ reviewers: 'finance' }), by('alice'), no, T, 'not_a_reviewer'],
    ['of the group', asked({ reviewers: 'finance' }), by('f', { names: ['f', 'finance'] }), yes, T, 'approved'],
    [
      'the one who is named, whom Cloudflare Access tells in lower case',
      asked({ reviewers: 'Alice@Example.com' }),
      by('alice@example.com'),
      yes,
      T,
      'approved',
    ],
    [
      'a group is named to the letter',
      asked({ reviewers: 'Finance' }),
      by('f', { names: ['f', 'finance'] }),
      yes,
      T,
      'not_a_reviewer',
    ],
    ['an admin is of every group', asked({ reviewers: 'finance' }), by('root', { admin: true }), yes, T, 'approved'],
    ['alike where the policy does not permit it', asked(), by('alice'), alike, T, 'alike_not_permitted'],
    ['alike where it does', asked({ alikeKey: 'k', alikeCount: 3, alikeForMs: 1 }), by('alice'), alike, T, 'approved'],
    ['one of two is not enough', asked({ count: 2 }), by('alice'), yes, T, 'pending'],
    ['one no of two is', asked({ count: 2 }), by('alice'), no, T, 'denied'],
  ])('%s', (_, approval, decider, decision, now, expected) => {
    const result = decided(approval, decider, decision, now);
    expect(result.ok ? result.value.state : result.error.kind).toBe(expected);
  });

  it('two people are two people (threat 25)', () => {
    const one = must(decided(asked({ count: 2 }), by('alice'), yes, T));
    expect(must(decided(one, by('alice'), yes, T + 1))).toBe(one);
    const two = must(decided(one, by('bob'), yes, T + 2));
    expect(two).toMatchObject({ state: 'approved', uses: 1, decidedBy: 'bob' });
    expect(two.votes.map((vote) => vote.operator)).toEqual(['alice', 'bob']);
  });

  it('one person whose id is written in two ways (a key and Cloudflare Access) is one', () => {
    const once = must(decided(asked({ count: 2 }), by('Ada@example.com'), yes, T));
    expect(must(decided(once, by('ada@example.com'), yes, T + 1)).state).toBe('pending');
    expect(must(decided(once, by('bob@example.com'), yes, T + 1)).state).toBe('approved');
  });
  it('of two scopes the narrower counts', () => {
    const kind = { count: 2, alikeKey: 'k', alikeCount: 5, alikeForMs: 1000 };
    const wide = must(decided(asked(kind), by('alice'), alike, T));
    expect(must(decided(wide, by('bob'), yes, T))).toMatchObject({ scope: 'once', uses: 1 });
    expect(must(decided(wide, by('bob'), alike, T))).toMatchObject({ scope: 'alike', uses: 5, expiresAt: T + 1000 });
  });

  it('the same again changes nothing; another is a conflict that names who decided', () => {
    const approved = must(decided(asked(), by('alice'), yes, T));
    expect(must(decided(approved, by('alice'), yes, T + 1))).toBe(approved);
    expect(decided(approved, by('bob'), yes, T + 1)).toEqual({
      ok: false,
      error: { kind: 'decided', state: 'approved', by: 'alice' },
    });
    expect(refusal(decided(approved, by('alice'), no, T + 1))).toBe('decided');
    expect(refusal(decided(approved, by('alice'), alike, T + 1))).toBe('decided');
    const denied = must(decided(asked(), by('alice'), no, T));
    expect(must(decided(denied, by('alice'), no, T + 1))).toBe(denied);
    expect(refusal(decided(denied, by('alice'), yes, T + 1))).toBe('decided');
    const used = usedOnce(approved, 'r');
    expect(must(decided(used, by('alice'), yes, T + 1))).toBe(used);
    expect(refusal(decided(ended(approved, 'revoked'), by('alice'), yes, T + 1))).toBe('decided');
  });

  it('a yes never outlives the token that asked; a no does', () => {
    const short = asked({ tokenExpiresAtMs: T + 5000 });
    expect(must(decided(short, by('alice'), yes, T + 1000)).expiresAt).toBe(T + 5000);
    expect(must(decided(short, by('alice'), no, T + 1000)).expiresAt).toBe(T + 1000 + TTL);
  });
});

describe('a question', () => {
  const approved = must(decided(asked(), by('alice'), yes, T));
  const denied = must(decided(asked(), by('alice'), no, T));
  const wide = must(
    decided(asked({ binding: 'b2', alikeKey: 'k', alikeCount: 2, alikeForMs: TTL }), by('alice'), alike, T),
  );
  const once = must(decided(asked({ binding: 'b2', alikeKey: 'k', alikeCount: 2, alikeForMs: TTL }), by('a'), yes, T));
  it.each<[string, Partial<Standing>, number, string]>([
    ['never asked is new', {}, T, 'new'],
    ['asked already is joined', { same: [asked()] }, T, 'joined'],
    ['joined although the bound is reached', { same: [asked()], pendingOfAgent: 9 }, T, 'joined'],
    ['approved is granted', { same: [approved] }, T, 'granted'],
    ['a yes that is over is a new question', { same: [approved] }, T + TTL, 'new'],
    ['used is a new question', { same: [usedOnce(approved, 'r')] }, T, 'new'],
    ['denied stays denied', { same: [denied] }, T + TTL - 1, 'denied'],
    ['until the no has aged', { same: [denied] }, T + TTL, 'new'],
    ['a no stands above a yes', { same: [approved, denied] }, T, 'denied'],
    ['a no stands above a yes to calls alike', { same: [denied], kin: [wide] }, T, 'denied'],
    ['a yes to calls alike covers it', { kin: [wide] }, T, 'granted'],
    ['also when it was asked before', { same: [asked()], kin: [wide] }, T, 'granted'],
    ['a yes to one other call does not', { kin: [once] }, T, 'new'],
    ['too many pending', { pendingOfAgent: 2 }, T, 'flood'],
    ['too many an hour', { askedByAgentInLastHour: 5 }, T, 'flood'],
    ['too many in all', { pendingOfAll: 10 }, T, 'flood'],
  ])('%s', (_, more, now, expected) => expect(answerTo(standing(more), bounds, now).kind).toBe(expected));
});

describe('use', () => {
  it('counts requests, each once, up to what was allowed', () => {
    const wide = must(decided(asked({ alikeKey: 'k', alikeCount: 2, alikeForMs: TTL }), by('alice'), alike, T));
    const first = usedOnce(wide, 'r1');
    expect(usedOnce(first, 'r1')).toBe(first);
    expect(first.state).toBe('approved');
    expect(usedOnce(first, 'r2').state).toBe('used');
    expect(usedOnce(usedOnce(first, 'r2'), 'r3').usedBy).toEqual(['r1', 'r2']);
  });
  it('what is decided otherwise cannot be used', () => {
    const denied = must(decided(asked(), by('alice'), no, T));
    expect(usedOnce(denied, 'r')).toBe(denied);
    expect(exhausted(denied)).toBe(denied);
    expect(ended(denied, 'time')).toBe(denied);
  });
});

describe('whatever happens, in whatever order', () => {
  const NEXT: Readonly<Record<ApprovalState, readonly ApprovalState[]>> = {
    pending: ['pending', 'approved', 'denied', 'expired'],
    approved: ['approved', 'used', 'expired'],
    denied: ['denied'],
    expired: ['expired'],
    used: ['used'],
  };
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('decide' as const),
      who: fc.constantFrom('alice', 'bob', 'carol', 'agent-1'),
      verdict: fc.constantFrom('approve' as const, 'deny' as const),
      scope: fc.constantFrom('once' as const, 'alike' as const),
    }),
    fc.record({ kind: fc.constant('use' as const), request: fc.constantFrom('r1', 'r2', 'r3', 'r4') }),
    fc.record({ kind: fc.constantFrom('end' as const, 'exhaust' as const) }),
  );
  const run = (approval: Approval, one: { kind: string } & Record<string, unknown>, now: number): Approval => {
    switch (one.kind) {
      case 'decide': {
        const decision = { ...yes, verdict: one['verdict'], scope: one['scope'] } as Decision;
        const result = decided(approval, by(String(one['who'])), decision, now);
        return result.ok ? result.value : approval;
      }
      case 'use':
        // The pipeline uses what `answerTo` granted, and nothing else.
        return stateAt(approval, now) === 'approved' ? usedOnce(approval, String(one['request'])) : approval;
      case 'end':
        return ended(approval, 'time');
      default:
        return exhausted(approval);
    }
  };

  it('only the arrows of the picture are walked, and the promises hold', () => {
    const reached = new Set<ApprovalState>();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(step, fc.integer({ min: 0, max: TTL / 4 })), { maxLength: 14 }),
        fc.constantFrom(1, 2),
        fc.integer({ min: 1, max: 2 * TTL }),
        (steps, count, life) => {
          let now = T;
          let approval = asked({
            count,
            alikeKey: 'k',
            alikeCount: 3,
            alikeForMs: TTL,
            tokenExpiresAtMs: T + life,
          });
          for (const [one, later] of steps) {
            now += later;
            const before = approval;
            const stateBefore = stateAt(before, now);
            approval = run(before, one as never, now);
            expect(NEXT[before.state]).toContain(approval.state);
            // Nobody says yes to what is over.
            if (stateBefore === 'expired') expect(['pending', 'approved', 'expired', 'used']).toContain(approval.state);
            if (stateBefore === 'expired' && before.state === 'pending') expect(approval.state).not.toBe('approved');
            if (approval.state === 'approved' || approval.state === 'used') {
              const people = new Set(approval.votes.map((vote) => vote.operator));
              expect(people.size).toBeGreaterThanOrEqual(count);
              expect(people.has('agent-1')).toBe(false);
              expect(approval.expiresAt).toBeLessThanOrEqual(T + life);
            }
            expect(approval.usedBy.length).toBeLessThanOrEqual(approval.uses);
            expect(new Set(approval.usedBy).size).toBe(approval.usedBy.length);
            reached.add(approval.state);
          }
        },
      ),
      { numRuns: 3000 },
    );
    expect([...reached].sort()).toEqual([...STATES].sort());
  });
});
