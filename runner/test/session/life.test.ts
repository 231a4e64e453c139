import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { SessionEndReason } from '../../../src/protocol.ts';
import type { Backend } from '../../src/sandbox/backend.ts';
import { runSession } from '../../src/session/run-session.ts';
import { existingRunnerKey } from '../../src/session/runner-key.ts';
import type { SessionEdge } from '../../src/session/session-edge.ts';
import { SESSION_STEPS, type SessionStep } from '../../src/session/steps.ts';
import { sweepLeases } from '../../src/session/sweep-leases.ts';
import { verifyReceiptFile } from '../../src/session/verify-receipt.ts';
import { labelled, plainBackend } from './support/plain-backend.ts';
import { planOf, type TestState, testState, toolsOf } from './support/world.ts';

let world: TestState;
beforeEach(() => {
  world = testState();
});
afterEach(() => world.remove());

/** An edge that is as the test wants it. */
const edgeWith = (more: Partial<SessionEdge> = {}): SessionEdge => ({
  url: 'http://127.0.0.1:1',
  announce: async () => {},
  mint: async () => ({ token: 'token-of-the-test', tokenId: 'jti-1', warning: null }),
  report: async () => false,
  revoke: async () => {},
  end: async () => true,
  ...more,
});

const receiptIn = (session: string): string => readFileSync(join(world.state.receipts, `${session}.json`), 'utf8');

describe('a session from lease to receipt', () => {
  it('goes through every step in its order, leaves nothing, and its receipt verifies', async () => {
    const steps: SessionStep[] = [];
    const plan = planOf(world.state, {
      backend: plainBackend(),
      argv: ['/bin/sh', '-c', 'exit 7'],
      capabilities: ['bank:read'],
    });
    const result = await runSession(plan, toolsOf(world.state, edgeWith(), { observe: (step) => steps.push(step) }));
    expect(result.exit).toEqual({ code: 7, signal: null, outOfMemory: false });
    expect(result.receipt).toMatchObject({
      reason: 'exited',
      exit_code: 7,
      token: { token_id: 'jti-1', revoked: true },
      absence: { proven: true },
    });
    const expected = SESSION_STEPS.filter((step) => step !== 'revoked');
    expect(steps.filter((step) => step !== 'revoked')).toEqual(expected);
    expect(readdirSync(world.state.sessions)).toEqual([]);
    expect(readdirSync(world.state.receipts)).toEqual([`${plan.session}.json`]);
    const text = receiptIn(plan.session);
    const x = existingRunnerKey(world.state)?.x ?? '';
    expect(await verifyReceiptFile(text, 'file', x)).toMatchObject({ ok: true });
    expect(await verifyReceiptFile(text.replaceAll('"exit_code": 7', '"exit_code": 0'), 'file', x)).toMatchObject({
      ok: false,
    });
    expect(await verifyReceiptFile(text, 'file', 'A'.repeat(43))).toMatchObject({ ok: false });
  });

  it('the token is in no file of it while it lives', async () => {
    let seen = '';
    const plan = planOf(world.state, { backend: plainBackend(), argv: ['/bin/true'], capabilities: ['bank:read'] });
    await runSession(
      plan,
      toolsOf(world.state, edgeWith(), {
        observe: (step) => {
          const file = join(world.state.sessions, plan.session, 'lease.json');
          if (existsSync(file)) seen += `${step} ${readFileSync(file, 'utf8')}\n`;
        },
      }),
    );
    expect(seen).toContain('jti-1');
    expect(seen).not.toContain('token-of-the-test');
  });
});

describe('the first reason wins', () => {
  const ends: readonly [string, SessionEndReason, (stop: () => void) => Partial<Parameters<typeof planOf>[1]>][] = [
    ['the deadline passes', 'deadline', () => ({ timeoutMs: 300 })],
    ['it was asked to stop', 'stopped', (stop) => (setTimeout(stop, 300) ? {} : {})],
    ['the agent died of a signal', 'killed', () => ({ argv: ['/bin/sh', '-c', 'kill -9 $$'] })],
  ];
  it.each(ends)('%s', async (_, reason, arrange) => {
    const base = planOf(world.state, { backend: plainBackend(), argv: ['/bin/sleep', '60'] });
    const more = arrange(() => writeFileSync(join(world.state.sessions, base.session, 'stop'), ''));
    const plan = { ...base, ...more, sandbox: { ...base.sandbox, argv: more.argv ?? base.sandbox.argv } };
    const result = await runSession(plan, toolsOf(world.state, null));
    expect(result.receipt.reason).toBe(reason);
    expect(labelled(plan.session)).toEqual([]);
  });

  it('an agent that ignores SIGTERM and its children die after the grace (threats B 62)', async () => {
    const plan = planOf(world.state, {
      backend: plainBackend(),
      argv: ['/bin/sh', '-c', 'trap "" TERM; (trap "" TERM; while :; do sleep 1; done) & while :; do sleep 1; done'],
      timeoutMs: 300,
      graceMs: 500,
    });
    const began = Date.now();
    const result = await runSession(plan, toolsOf(world.state, null));
    expect(result.receipt).toMatchObject({ reason: 'deadline', exit_code: 137, absence: { proven: true } });
    expect(Date.now() - began).toBeLessThan(4_000);
  });

  it('the edge says stop on a report', async () => {
    const plan = planOf(world.state, { backend: plainBackend(), argv: ['/bin/sleep', '60'] });
    const edge = edgeWith({ report: async () => true });
    const result = await runSession(plan, toolsOf(world.state, edge));
    expect(result.receipt.reason).toBe('stopped');
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s to the runner reaches the agent', async (signal) => {
    const plan = planOf(world.state, {
      backend: plainBackend(),
      argv: ['/bin/sh', '-c', `trap 'exit 42' ${signal.slice(3)}; while :; do sleep 0.1; done`],
    });
    const running = runSession(
      plan,
      toolsOf(world.state, null, {
        observe: (step) => {
          if (step === 'running') setTimeout(() => process.emit(signal, signal), 200);
        },
      }),
    );
    expect((await running).receipt).toMatchObject({ reason: 'interrupted', exit_code: 42 });
  });
});

describe('what goes wrong at the start ends with a receipt and nothing left', () => {
  it.each<[string, Partial<SessionEdge>, RegExp]>([
    ['the edge does not answer', { announce: async () => Promise.reject(new Error('ECONNREFUSED')) }, /ECONNREFUSED/],
    ['the capability may not be held', { mint: async () => Promise.reject(new Error('may not hold')) }, /may not hold/],
  ])('%s', async (_, broken, message) => {
    const plan = planOf(world.state, { backend: plainBackend(), argv: ['/bin/true'], capabilities: ['bank:read'] });
    await expect(runSession(plan, toolsOf(world.state, edgeWith(broken)))).rejects.toThrow(message);
    expect(JSON.parse(receiptIn(plan.session)).receipt).toMatchObject({ reason: 'start_failed', exit_code: null });
    expect(readdirSync(world.state.sessions)).toEqual([]);
  });

  it('the sandbox does not start', async () => {
    const plan = planOf(world.state, { backend: plainBackend({ failWith: 'no namespaces' }), argv: ['/bin/true'] });
    await expect(runSession(plan, toolsOf(world.state, null))).rejects.toThrow('no namespaces');
    expect(JSON.parse(receiptIn(plan.session)).receipt.absence.proven).toBe(true);
  });

  it('nothing counts where --require-count wants it: the agent is ended', async () => {
    const counting = { denied: [], observed: [], blocked: [], dropped: 0, sources: ['seccomp-notify'] };
    const run = (backend: Backend) => {
      const plan = { ...planOf(world.state, { backend, argv: ['/bin/true'] }), requireCount: true };
      return { plan, ended: runSession(plan, toolsOf(world.state, null)) };
    };
    const { plan, ended } = run(plainBackend());
    await expect(ended).rejects.toThrow(/counts nothing on this host, and --require-count wants it/);
    expect(JSON.parse(receiptIn(plan.session)).receipt).toMatchObject({
      reason: 'start_failed',
      at: { running: null },
    });
    expect(labelled(plan.session)).toEqual([]);
    expect(await run(plainBackend({ counters: counting })).ended).toMatchObject({ receipt: { reason: 'exited' } });
  });

  it('a wall clock that is set between the lease and the start: the agent has the same time (threats B 63)', async () => {
    onTestFinished(() => void vi.restoreAllMocks());
    const now = Date.now;
    let leftMs = 0;
    const plain = plainBackend();
    const backend: Backend = {
      ...plain,
      start: (spec, events) => {
        leftMs = spec.deadlineAt - Date.now();
        return plain.start(spec, events);
      },
    };
    const plan = planOf(world.state, { backend, argv: ['/bin/true'], timeoutMs: 30_000 });
    const observe = (step: SessionStep): void => {
      if (step === 'egress_open') vi.spyOn(Date, 'now').mockImplementation(() => now() + 3_600_000);
    };
    await runSession(plan, toolsOf(world.state, null, { observe }));
    expect(leftMs).toBeGreaterThan(20_000);
    expect(leftMs).toBeLessThanOrEqual(30_250);
  });

  it('an end that is asked for before anything runs: nothing is started, and its token is revoked', async () => {
    const revoked: string[] = [];
    const start = vi.fn(plainBackend().start);
    const plan = planOf(world.state, {
      backend: { ...plainBackend(), start },
      argv: ['/bin/true'],
      capabilities: ['bank:read'],
      timeoutMs: 90_500,
    });
    const mint = vi.fn(edgeWith().mint);
    const edge = edgeWith({ mint, revoke: async (session) => void revoked.push(session) });
    const observe = (step: SessionStep): void => {
      if (step === 'egress_open') process.emit('SIGTERM', 'SIGTERM');
    };
    const { receipt } = await runSession(plan, toolsOf(world.state, edge, { observe }));
    expect(start).not.toHaveBeenCalled();
    expect(receipt).toMatchObject({ reason: 'interrupted', at: { running: null }, token: { revoked: true } });
    expect(revoked).toEqual([plan.session]);
    // Even unrevoked the token would not outlive the session.
    expect(mint).toHaveBeenCalledWith(expect.objectContaining({ session: plan.session, ttlSeconds: 91 }));
  });

  it('the deadline passes while it starts', async () => {
    const plan = planOf(world.state, {
      backend: plainBackend({ delayMs: 600 }),
      argv: ['/bin/sleep', '60'],
      timeoutMs: 200,
    });
    const result = await runSession(plan, toolsOf(world.state, null));
    expect(result.receipt.reason).toBe('deadline');
    expect(labelled(plan.session)).toEqual([]);
  });

  it('a start that fails since the deadline passed is no failed start', async () => {
    const plan = planOf(world.state, {
      backend: plainBackend({ delayMs: 600, failWith: 'gone' }),
      argv: ['/bin/true'],
      timeoutMs: 200,
    });
    const { receipt, exit } = await runSession(plan, toolsOf(world.state, null));
    expect(receipt).toMatchObject({ reason: 'deadline', exit_code: null, at: { running: null } });
    expect(exit).toBeNull();
  });

  it('a start that hangs is given up, and what comes of it later is killed', async () => {
    const plan = planOf(world.state, {
      backend: plainBackend({ delayMs: 1_200 }),
      argv: ['/bin/sleep', '60'],
      timeoutMs: 200,
      graceMs: 300,
    });
    const { receipt } = await runSession(plan, toolsOf(world.state, null));
    expect(receipt).toMatchObject({ reason: 'deadline', at: { running: null } });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(labelled(plan.session)).toEqual([]);
  });

  it('a lease that cannot be written: nothing is started', async () => {
    const plan = planOf(world.state, { backend: plainBackend(), argv: ['/bin/true'] });
    // A file where the folder should be: works for root too, whom no mode stops.
    world.remove();
    mkdirSync(world.state.path, { recursive: true });
    writeFileSync(world.state.sessions, '');
    const tools = {
      ...toolsOf(world.state, edgeWith({ announce: async () => Promise.reject(new Error('was asked')) })),
    };
    await expect(runSession(plan, tools)).rejects.toThrow(/lease .* cannot be written/);
  });
});

describe('an edge that goes away', () => {
  it('in mid-life: the session goes on, the receipt waits, and a sweep sends it', async () => {
    let away = false;
    const taken: string[] = [];
    const fail = async () => Promise.reject(new Error('away'));
    const edge = edgeWith({
      report: async () => (away ? fail() : false),
      revoke: async () => (away ? fail() : undefined),
      end: async (session) => (away ? fail() : taken.push(session) > 0),
    });
    const plan = planOf(world.state, {
      backend: plainBackend(),
      argv: ['/bin/sleep', '0.3'],
      capabilities: ['bank:read'],
    });
    const running = runSession(
      plan,
      toolsOf(world.state, edge, { observe: (step) => (step === 'running' ? (away = true) : 0) }),
    );
    const result = await running;
    expect(result).toMatchObject({ sent: false, receipt: { reason: 'exited', token: { revoked: false } } });
    expect(readdirSync(world.state.receipts).sort()).toEqual([`${plan.session}.json`, `${plan.session}.pending`]);
    const tools = {
      state: world.state,
      key: () => toolsOf(world.state, null).key,
      edge,
      backendOf: async () => plainBackend(),
      say: () => {},
    };
    expect(await sweepLeases(tools)).toMatchObject({ receiptsSent: [], receiptsWaiting: [plan.session] });
    away = false;
    expect(await sweepLeases(tools)).toMatchObject({ receiptsSent: [plan.session], receiptsWaiting: [] });
    expect(taken).toEqual([plan.session]);
  });
});
