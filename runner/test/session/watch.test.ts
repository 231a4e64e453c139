import { url } from 'node:inspector';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { EndCause } from '../../src/session/end-cause.ts';
import { type Watch, watchOver } from '../../src/session/watch.ts';

// The time since boot, which counts sleep too.
const clock = vi.hoisted(() => ({ slept: 0 }));
vi.mock('../../src/session/boot-clock.ts', async (original) => {
  const real = await original<typeof import('../../src/session/boot-clock.ts')>();
  return { ...real, bootMs: () => real.bootMs() + clock.slept };
});

const watched = async (
  test: (watch: Watch, impatient: () => boolean) => Promise<void>,
  cause = new EndCause(),
): Promise<void> => {
  // The runner of these tests listens for signals too; only ours shall hear them.
  const others = ['SIGINT', 'SIGTERM'].map((name) => [name, process.listeners(name as 'SIGINT')] as const);
  for (const [name] of others) process.removeAllListeners(name);
  const watch = watchOver({ timeoutMs: 60_000, stopFile: '/nonexistent/stop', cause });
  const impatient = vi.fn();
  void watch.impatient.then(impatient);
  try {
    await test(watch, () => impatient.mock.calls.length > 0);
  } finally {
    watch.close();
    for (const [name, listeners] of others) for (const listener of listeners) process.on(name, listener);
  }
};

it('one Ctrl-C that arrives from the terminal, from npm and as a SIGTERM of a parent is no impatience', () =>
  watched(async (watch, impatient) => {
    for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM'] as const) process.emit(signal, signal);
    await delay(700);
    expect(impatient()).toBe(false);
    expect(watch.signal()).toBe('SIGINT');
  }));

it('the same signal again after a moment is', () =>
  watched(async (_, impatient) => {
    process.emit('SIGINT', 'SIGINT');
    await delay(600);
    expect(impatient()).toBe(false);
    process.emit('SIGINT', 'SIGINT');
    await delay(10);
    expect(impatient()).toBe(true);
  }));

it('SIGUSR1 ends a session too, and does not open a debugger on the process that holds its secrets', () =>
  watched(async (watch) => {
    process.kill(process.pid, 'SIGUSR1');
    await vi.waitFor(() => expect(watch.signal()).toBe('SIGUSR1'));
    expect(url()).toBeUndefined();
  }));

it('hears whatever ends a process that does not ask for it, and no longer than the session lives', async () => {
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const;
  const counts = (): number[] => names.map((name) => process.listenerCount(name));
  const before = counts();
  const watch = watchOver({ timeoutMs: 60_000, stopFile: '/nonexistent/stop', cause: new EndCause() });
  expect(counts()).toEqual(before.map((count) => count + 1));
  watch.close();
  expect(counts()).toEqual(before);
});

it('the agent gets the first signal that came; SIGTERM when something else came before it', async () => {
  await watched(async (watch) => {
    for (const signal of ['SIGHUP', 'SIGINT'] as const) process.emit(signal, signal);
    expect(watch.signal()).toBe('SIGHUP');
  });
  const cause = new EndCause();
  cause.settle('deadline');
  await watched(async (watch) => {
    process.emit('SIGHUP', 'SIGHUP');
    expect([watch.signal(), cause.reason]).toEqual(['SIGTERM', 'deadline']);
  }, cause);
});

it('the deadline comes at its time: no clock is looked at for it, and no tick is waited for', async () => {
  const cause = new EndCause();
  const began = performance.now();
  clock.slept -= 3_600_000;
  const watch = watchOver({ timeoutMs: 20, stopFile: '/nonexistent/stop', cause });
  clock.slept -= 3_600_000;
  try {
    expect(await cause.settled).toBe('deadline');
    expect(watch.leftMs()).toBeGreaterThan(0);
    expect(performance.now() - began).toBeLessThan(30_000);
  } finally {
    watch.close();
  }
});

it('a host that slept past the deadline ends the session when it wakes, whatever its timers have waited', async () => {
  const cause = new EndCause();
  await watched(async (watch) => {
    expect(watch.leftMs()).toBeGreaterThan(0);
    clock.slept += 60_000;
    expect(watch.leftMs()).toBeLessThanOrEqual(0);
    await vi.waitFor(() => expect(cause.reason).toBe('deadline'), { timeout: 30_000 });
  }, cause);
});
