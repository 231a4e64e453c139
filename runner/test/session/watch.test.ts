import { url } from 'node:inspector';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { EndCause } from '../../src/session/end-cause.ts';
import { type Watch, watchOver } from '../../src/session/watch.ts';

const watched = async (test: (watch: Watch, impatient: () => boolean) => Promise<void>): Promise<void> => {
  // The runner of these tests listens for signals too; only ours shall hear them.
  const others = ['SIGINT', 'SIGTERM'].map((name) => [name, process.listeners(name as 'SIGINT')] as const);
  for (const [name] of others) process.removeAllListeners(name);
  const watch = watchOver({ timeoutMs: 60_000, stopFile: '/nonexistent/stop', cause: new EndCause() });
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
