import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it, vi } from 'vitest';
import type { Counters } from '../../src/sandbox/backend.ts';
import { NO_COUNTERS } from '../../src/session/counters.ts';
import { EndCause } from '../../src/session/end-cause.ts';
import { startHeartbeat } from '../../src/session/heartbeat.ts';
import type { SessionEdge } from '../../src/session/session-edge.ts';

const denied = (count: number): Counters => ({
  ...NO_COUNTERS,
  denied: [{ pathClass: 'aws', syscall: 'openat', count }],
});
/** However slow the machine is: what must come is waited for. */
const soon = (what: () => void): Promise<unknown> => vi.waitFor(what, { timeout: 30_000, interval: 2 });

const begun: { stop: () => void }[] = [];
afterEach(() => {
  for (const heartbeat of begun.splice(0)) heartbeat.stop();
});

function beating(report: SessionEdge['report'] | null) {
  const now = { counters: denied(1) };
  const looked = vi.fn(() => now.counters);
  const [kept, told]: [Counters[], Counters[]] = [[], []];
  const cause = new EndCause();
  const heartbeat = startHeartbeat({
    session: 'ses',
    edge: report === null ? null : ({ report } as SessionEdge),
    sandbox: { counters: looked },
    file: { tryUpdate: ({ counters }) => void (counters && kept.push(counters)) },
    cause,
    listener: { started: () => {}, counted: (_, counters) => void told.push(counters), ended: () => {} },
    everyMs: 1,
  });
  begun.push(heartbeat);
  return { now, looked, kept, told, cause, heartbeat };
}

it('reports are numbered, come one after the other, and go on whatever comes of them', async () => {
  const sequences: number[] = [];
  let [open, most] = [0, 0];
  const { cause } = beating(async (_, sequence) => {
    sequences.push(sequence);
    most = Math.max(most, ++open);
    await delay(5);
    open -= 1;
    if (sequence === 2) throw new Error('away');
    return false;
  });
  await soon(() => expect(sequences.length).toBeGreaterThan(3));
  expect(sequences.slice(0, 4)).toEqual([1, 2, 3, 4]);
  expect(most).toBe(1);
  expect(cause.reason).toBeNull();
});

it('hears that somebody asked for the end', async () => {
  expect(await beating(async () => true).cause.settled).toBe('stopped');
});

it('what was counted is kept and told when it has changed, last of all at the end; with an edge or without', async () => {
  for (const report of [null, async () => false]) {
    const { now, looked, kept, told, heartbeat } = beating(report);
    await soon(() => expect(looked.mock.calls.length).toBeGreaterThan(3));
    now.counters = denied(2);
    await soon(() => expect(told).toHaveLength(2));
    now.counters = denied(3);
    heartbeat.stop();
    now.counters = denied(4);
    const looks = looked.mock.calls.length;
    await delay(20);
    expect(looked.mock.calls.length).toBe(looks);
    expect(told).toEqual([1, 2, 3].map(denied));
    expect(kept).toEqual(told);
  }
});
