import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GrantedApproval } from '../../src/approvals/contract.ts';
import type { AdmitAnswer, AdmitCall } from '../../src/ledger/contract.ts';
import { admitInto, type GroupBasis, startGroup } from '../../src/ledger/group.ts';
import { emptyHead, type LedgerHeadState } from '../../src/ledger/log.ts';
import { revokedEntry } from '../../src/ledger/revoked.ts';

const T = 1_800_000_000_000;
const TTL = 600_000;

const grant = (uses: number, id = 'a1'): GrantedApproval => ({
  id,
  uses,
  goodForMs: TTL,
  asker: { session: null, tokenId: 'asked', issuedAtMs: T - 1000 },
});
const call = (requestId: string, approval: GrantedApproval | null, limits: AdmitCall['limits'] = []): AdmitCall => ({
  requestId,
  attempt: 0,
  principal: { agent: 'a', session: null, tokenId: 'sends', issuedAtMs: T, expiresAtMs: T + TTL },
  denial: null,
  limits,
  ...(approval === null ? {} : { approval }),
  call: {
    agent: 'a',
    session: null,
    tokenId: 'sends',
    capability: 'bank:pay',
    service: 'bank',
    method: 'POST',
    path: '/v1/payments',
    queryNames: '',
    requestHash: 'h'.repeat(64),
    policyHash: 'p'.repeat(64),
  },
  outcomes: [],
  inFlight: 0,
});

/** A ledger as its commits leave it; a commit that is lost (a crash) leaves what was before. */
class Ledger {
  head: LedgerHeadState = emptyHead('l');
  revoked: ReadonlyMap<string, number> = new Map();
  readonly events: string[] = [];
  commit(calls: readonly AdmitCall[], now: number, lost = false): AdmitAnswer[] {
    const basis: GroupBasis = {
      head: this.head,
      revoked: this.revoked,
      open: new Map(),
      waitingRows: 0,
      maxWaitingRows: 1e9,
      now,
      decided: () => null,
      has: () => false,
    };
    const draft = startGroup(basis);
    const answers = calls.map((one) => admitInto(draft, basis, one, false));
    if (!lost) {
      this.head = draft.head;
      this.events.push(...draft.entries.map((entry) => (JSON.parse(entry.wire) as string[])[4] ?? ''));
    }
    return answers;
  }
}
const admitted = (answers: readonly AdmitAnswer[]): number => answers.filter((one) => one.effect === 'admitted').length;
const reasonOf = (answer: AdmitAnswer | undefined): string =>
  answer?.effect === 'denied' ? answer.denial.kind : (answer?.effect ?? '');

describe('the ledger counts the uses of a yes (threats 24 and 32)', () => {
  it('once, in one group and over groups; use and intent stand together', () => {
    const ledger = new Ledger();
    const answers = ledger.commit(
      Array.from({ length: 50 }, (_, i) => call(`r${i}`, grant(1))),
      T,
    );
    expect(admitted(answers)).toBe(1);
    expect(reasonOf(answers[7])).toBe('approval_used');
    expect(reasonOf(ledger.commit([call('later', grant(1))], T + TTL)[0])).toBe('approval_used');
    expect(ledger.events.filter((event) => event === 'approval.used')).toHaveLength(1);
    expect(ledger.events.slice(0, 2)).toEqual(['approval.used', 'call.admitted']);
  });

  it('a commit that is lost has used nothing', () => {
    const ledger = new Ledger();
    expect(admitted(ledger.commit([call('r1', grant(1))], T, true))).toBe(1);
    expect(admitted(ledger.commit([call('r2', grant(1))], T + 1))).toBe(1);
    expect(admitted(ledger.commit([call('r3', grant(1))], T + 2))).toBe(0);
  });

  it('a call that another limit refuses has used nothing, either', () => {
    const ledger = new Ledger();
    const tight = [{ name: 'bank:pay', spec: { count: 1, periodMs: 1000, burst: 1 } }];
    expect(admitted(ledger.commit([call('r0', null, tight)], T))).toBe(1);
    expect(reasonOf(ledger.commit([call('r1', grant(1), tight)], T)[0])).toBe('rate_limited');
    expect(admitted(ledger.commit([call('r2', grant(1), tight)], T + 1000))).toBe(1);
  });

  it.each([
    ['token', { by: 'token', tokenId: 'asked', until: T + TTL }],
    ['agent', { by: 'agent', issuedUntilMs: T - 500 }],
  ] as const)('the %s that asked is revoked: void, and said so', (by, revocation) => {
    const ledger = new Ledger();
    ledger.revoked = new Map([revokedEntry(new Map(), revocation)]);
    expect(ledger.commit([call('r1', grant(1))], T)[0]).toMatchObject({
      effect: 'denied',
      denial: { kind: 'approval_revoked', by },
    });
    expect(admitted(ledger.commit([call('r2', null)], T))).toBe(1);
  });

  it('never more than it allows, whatever the order, the clock and the crashes', () => {
    const step = fc.record({
      calls: fc.array(fc.constantFrom('a1', 'a2'), { minLength: 1, maxLength: 8 }),
      later: fc.integer({ min: -5_000, max: TTL / 10 }),
      lost: fc.boolean(),
    });
    let most = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 10 }), fc.integer({ min: 1, max: 6 }), (steps, uses) => {
        const ledger = new Ledger();
        const used = { a1: 0, a2: 0 };
        let now = T;
        let serial = 0;
        for (const { calls, later, lost } of steps) {
          now += later;
          const answers = ledger.commit(
            calls.map((id) => call(`r${serial++}`, grant(uses, id))),
            now,
            lost,
          );
          if (!lost) calls.forEach((id, i) => (used[id as 'a1'] += answers[i]?.effect === 'admitted' ? 1 : 0));
        }
        expect(used.a1).toBeLessThanOrEqual(uses);
        expect(used.a2).toBeLessThanOrEqual(uses);
        // Nor fewer, while it is good.
        const left = Array.from({ length: uses + 2 }, (_, i) => call(`end${i}`, grant(uses)));
        expect(used.a1 + admitted(ledger.commit(left, now))).toBe(uses);
        most = Math.max(most, used.a1);
      }),
      { numRuns: 1000 },
    );
    expect(most).toBeGreaterThan(1);
  });
});
