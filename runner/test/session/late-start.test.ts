import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Backend, Sandbox } from '../../src/sandbox/backend.ts';
import { runSession } from '../../src/session/run-session.ts';
import { plainBackend } from './support/plain-backend.ts';
import { planOf, type TestState, testState, toolsOf } from './support/world.ts';

// The quarter of a minute in which an abandoned start may give up is over at once.
vi.mock('node:timers/promises', async (original) => {
  const real = await original<typeof import('node:timers/promises')>();
  const delay = (ms: number, ...more: []) => real.setTimeout(ms === 15_000 ? 0 : ms, ...more);
  return { ...real, setTimeout: delay };
});

let world: TestState;
beforeEach(() => {
  world = testState();
});
afterEach(() => world.remove());

const nothing: Backend = { ...plainBackend(), sweep: async () => {}, leftovers: async () => [] };
const late = (backend: Backend) =>
  runSession(planOf(world.state, { backend, argv: ['x'], timeoutMs: 200, graceMs: 100 }), toolsOf(world.state, null));

it('a start that goes on even so keeps its lease for the next sweep, and what comes of it is killed', async () => {
  const started = Promise.withResolvers<Sandbox>();
  const running = late({ ...nothing, start: () => started.promise });
  await expect(running).rejects.toThrow('the sandbox did not start before the session had to end');
  expect(readdirSync(world.state.sessions)).toHaveLength(1);
  const kill = vi.fn(async () => {});
  started.resolve({ kill } as unknown as Sandbox);
  await vi.waitFor(() => expect(kill).toHaveBeenCalledOnce());
});

it('a start that hangs is swept away from under, which makes it give up: then it ends as it was asked to', async () => {
  const started = Promise.withResolvers<Sandbox>();
  const sweep = async (): Promise<void> => started.reject(new Error('gone'));
  const { receipt } = await late({ ...nothing, start: () => started.promise, sweep });
  expect(receipt).toMatchObject({ reason: 'deadline', at: { running: null } });
  expect(readdirSync(world.state.sessions)).toEqual([]);
});
