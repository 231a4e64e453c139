import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Counters } from '../../src/sandbox/backend.ts';
import { wireCounters } from '../../src/session/counters.ts';
import { runSession } from '../../src/session/run-session.ts';
import { allOf, eventsFile, metricsFile } from '../../src/signals/exporters.ts';
import { sessionMetrics } from '../../src/signals/metrics.ts';
import { plainBackend } from './support/plain-backend.ts';
import { planOf, testState, toolsOf } from './support/world.ts';

const COUNTERS: Counters = {
  denied: [{ pathClass: 'aws', syscall: 'openat', count: 3 }],
  observed: [{ pathClass: 'ssh', syscall: 'newfstatat', count: 2 }],
  blocked: [{ syscall: 'ptrace', count: 1 }],
  dropped: 4,
  sources: ['seccomp-notify'],
};

it('a session is in the metrics and the events, and no path is', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keywarden-signals-'));
  const world = testState();
  const [metrics, events] = [join(folder, 'm.prom'), join(folder, 'e.jsonl')];
  const said: string[] = [];
  const file = metricsFile(metrics, sessionMetrics(), (line) => said.push(line));
  const plan = planOf(world.state, {
    backend: plainBackend({ counters: COUNTERS }),
    argv: ['/bin/true', '/root/.aws/credentials'],
  });
  await runSession(
    plan,
    toolsOf(world.state, null, { listener: allOf([file, eventsFile(events, (line) => said.push(line))]) }),
  );
  await file.written();
  const text = readFileSync(metrics, 'utf8');
  for (const line of [
    'credential_path_denied_total{source="seccomp-notify",path_class="aws",syscall="openat"} 3',
    'credential_path_attempt_observed_total{source="seccomp-notify",path_class="ssh",syscall="newfstatat"} 2',
    'blocked_syscalls_total{syscall="ptrace"} 1',
    'credential_path_dropped_total 4',
    'session_running 0',
    'session_absence_proven 1',
  ])
    expect(text).toContain(line);
  expect(text).toMatch(/session_duration_seconds\{backend="namespace",reason="exited"\} \d/);
  const lines = readFileSync(events, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string });
  expect(lines.map(({ event }) => event)).toEqual(['session.started', 'session.counted', 'session.ended']);
  expect(text + readFileSync(events, 'utf8')).not.toContain('/root');
  expect(said).toEqual([]);
  rmSync(folder, { recursive: true });
  world.remove();
});

it('a raw path that a helper should ever say becomes a bounded name (threats B 69)', () => {
  const wire = wireCounters({
    ...COUNTERS,
    denied: [{ pathClass: '/root/.aws/credentials\n{"event":"x"}', syscall: 'OPEN AT', count: 1 }],
  });
  expect(wire.denied[0]?.path_class).toMatch(/^[a-z][a-z0-9_-]{0,31}$/);
  expect(wire.denied[0]?.syscall).toMatch(/^[a-z][a-z0-9_-]{0,31}$/);
});

it('a metrics file that cannot be written is told once and stops nothing', async () => {
  const said: string[] = [];
  const file = metricsFile('/proc/nothing/m.prom', sessionMetrics(), (line) => said.push(line));
  for (let i = 0; i < 3; i += 1) file.counted('ses', COUNTERS);
  await file.written();
  expect(said).toHaveLength(1);
});
