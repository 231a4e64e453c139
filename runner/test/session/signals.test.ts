import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Counters } from '../../src/sandbox/backend.ts';
import { NO_COUNTERS, wireCounters } from '../../src/session/counters.ts';
import { runSession } from '../../src/session/run-session.ts';
import { allOf, eventsFile, metricsFile } from '../../src/signals/exporters.ts';
import { sessionMetrics } from '../../src/signals/metrics.ts';
import { keywarden, type Said } from './support/command.ts';
import { plainBackend } from './support/plain-backend.ts';
import { planOf, testState, toolsOf } from './support/world.ts';

const COUNTERS: Counters = {
  denied: [{ pathClass: 'aws', syscall: 'openat', count: 3 }],
  observed: [{ pathClass: 'ssh', syscall: 'newfstatat', count: 2 }],
  blocked: [{ syscall: 'ptrace', count: 1 }],
  dropped: 4,
  sources: ['seccomp-notify'],
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keywarden-signals-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('a session is in the metrics and the events, and no path is', async () => {
  const world = testState();
  onTestFinished(world.remove);
  const [metrics, events] = [join(folder, 'm.prom'), join(folder, 'e.jsonl')];
  const said: string[] = [];
  const file = await metricsFile(metrics, sessionMetrics(), (line) => said.push(line));
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
    'credential_path_coverage{source="seccomp-notify"} 1',
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
});

it('which sources are live is a metric, also when nothing was denied, and when there is none', async () => {
  const metrics = sessionMetrics();
  const coverageWith = async (sources: readonly string[]) => {
    metrics.counted('ses', { ...NO_COUNTERS, sources });
    return (await metrics.text()).split('\n').filter((line) => line.startsWith('credential_path_coverage'));
  };
  expect(await coverageWith([])).toEqual(['credential_path_coverage{source="none"} 0']);
  expect(await coverageWith(['seccomp-notify'])).toEqual(['credential_path_coverage{source="seccomp-notify"} 1']);
});

it('a raw path that a helper should ever say becomes a bounded name (threats B 69)', () => {
  const wire = wireCounters({
    ...COUNTERS,
    denied: [{ pathClass: '/root/.aws/credentials\n{"event":"x"}', syscall: 'OPEN AT', count: 1 }],
  });
  expect(wire.denied[0]?.path_class).toMatch(/^[a-z][a-z0-9_-]{0,31}$/);
  expect(wire.denied[0]?.syscall).toMatch(/^[a-z][a-z0-9_-]{0,31}$/);
});

it('a metrics file that can be written no longer is told once and stops nothing', async () => {
  const said: string[] = [];
  const file = await metricsFile(join(folder, 'm.prom'), sessionMetrics(), (line) => said.push(line));
  rmSync(folder, { recursive: true });
  for (let i = 0; i < 3; i += 1) file.counted('ses', COUNTERS);
  await file.written();
  expect(said).toHaveLength(1);
});

describe('keywarden run --quiet', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'keywarden-signals-'));
    mkdirSync(join(directory, 'work'));
    execFileSync('mkfifo', [join(directory, 'pipe')]);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const run = (...args: string[]): Promise<Said> =>
    keywarden(['run', '--no-edge', '--quiet', '--state', join(directory, 'state'), ...args], { cwd: directory });

  it.each([
    ['--events', 'nowhere/e.jsonl', 'there is no such folder'],
    ['--events', 'work', 'this is a folder'],
    ['--events', 'pipe', 'nobody reads this pipe'],
    ['--metrics-file', 'nowhere/m.prom', 'there is no such folder'],
    ['--metrics-file', 'work', 'this is no file'],
    ['--metrics-file', '/dev/null', 'this is no file'],
    ['--metrics-file', 'pipe', 'this is no file'],
    ['--metrics-file', '/dev/stderr', 'this is no file'],
  ])('%s %s cannot be kept, so that nothing is started: %s', async (option, path, why) => {
    const said = await run(option, path, '--', 'echo', 'started');
    expect(said).toMatchObject({ code: 125, out: '' });
    expect(said.err).toMatch(/^keywarden: error: .*\nkeywarden: hint: .*\n$/);
    expect(said.err).toContain(`keywarden: error: ${option} ${path}: ${why}`);
    expect(readdirSync(join(directory, 'state', 'sessions'))).toEqual([]);
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it('what is lost in mid-life is told once, and the session ends as it would', async () => {
    const full = await run('--events', '/dev/full', '--', 'sh', '-c', 'exit 7');
    expect(full).toMatchObject({
      code: 7,
      err: expect.stringMatching(/^keywarden: events cannot be written: .*ENOSPC.*\n$/),
    });
    const metrics = join(directory, 'work', 'sub', 'm.prom');
    mkdirSync(join(directory, 'work', 'sub'));
    const gone = await run('--metrics-file', metrics, '--mount', 'work:/work:rw', '--', 'rm', '-r', '/work/sub');
    expect(gone).toMatchObject({ code: 0, err: expect.stringMatching(/^keywarden: metrics cannot be written: .*\n$/) });
  });

  it('a pipe that is read holds the events, and one whose reader is gone keeps nobody', async () => {
    const pipe = join(directory, 'pipe');
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    expect(await run('--events', pipe, '--', 'true')).toMatchObject({ code: 0, err: '' });
    const text = Buffer.alloc(65_536);
    const lines = text.toString('utf8', 0, readSync(reader, text)).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(
      expect.arrayContaining(['session.started', 'session.ended']),
    );
    const running = run('--events', pipe, '--', 'sleep', '2');
    await expect.poll(() => readSoon(reader), { timeout: 20_000 }).toContain('session.started');
    closeSync(reader);
    expect(await running).toMatchObject({ code: 0, err: expect.stringMatching(/^keywarden: events cannot .*EPIPE/) });
  });

  it('a link that the agent lays in the place of its events leads nowhere', async () => {
    const [events, other] = [join(directory, 'work', 'e.jsonl'), join(directory, 'other')];
    writeFileSync(other, '');
    const lay = `rm /work/e.jsonl && ln -s ${other} /work/e.jsonl`;
    const said = await run('--events', events, '--mount', 'work:/work:rw', '--', 'sh', '-c', lay);
    expect(said, said.err).toMatchObject({ code: 0, err: '' });
    expect(readlinkSync(events)).toBe(other);
    expect(readFileSync(other, 'utf8')).toBe('');
  });

  it('nor does one that it lays in the place of the folder of its metrics (B20)', async () => {
    const [kept, other] = [join(directory, 'work', 'kept'), join(directory, 'elsewhere')];
    for (const made of [kept, other]) mkdirSync(made);
    writeFileSync(join(other, 'm.prom'), 'precious\n');
    const lay = `mv /work/kept /work/moved && ln -s ${other} /work/kept`;
    const args = ['--metrics-file', join(kept, 'm.prom'), '--mount', 'work:/work:rw'];
    expect(await run(...args, '--', 'sh', '-c', lay)).toMatchObject({ code: 0, err: '' });
    expect(readdirSync(other)).toEqual(['m.prom']);
    expect(readFileSync(join(other, 'm.prom'), 'utf8')).toBe('precious\n');
    expect(readFileSync(join(directory, 'work', 'moved', 'm.prom'), 'utf8')).toContain('session_running 0');
  });
});

function readSoon(reader: number): string {
  const text = Buffer.alloc(65_536);
  try {
    return text.toString('utf8', 0, readSync(reader, text));
  } catch {
    return '';
  }
}
