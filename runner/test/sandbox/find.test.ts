import { spawn } from 'node:child_process';
import { expect, it, onTestFinished } from 'vitest';
import { cgroupBases, findCgroups } from '../../src/sandbox/namespace/cgroup.ts';
import { findProcesses } from '../../src/sandbox/namespace/find.ts';
import { makeSessionId } from '../../src/session/session-id.ts';
import { startTimeOf } from '../../src/state/process-identity.ts';

it('a process that a lease names is its own only with the start time of then: its number may be another’s (B64)', () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const pid = child.pid ?? 0;
  const found = (startTime: string) => findProcesses(makeSessionId(), [{ kind: 'process', pid, startTime }]);
  expect(found('1')).toEqual([]);
  expect(found(startTimeOf(pid) ?? '').map((one) => one.pid)).toEqual([pid]);
});

it('what merely has the id of a session among its words is none of its processes (B64)', async () => {
  const session = makeSessionId();
  const child = spawn('tail', ['-F', `/run/keywarden/${session}/control`]);
  onTestFinished(() => void child.kill('SIGKILL'));
  // It says that there is no such file, and waits for it.
  await new Promise((resolve) => child.stderr.once('data', resolve));
  expect(findProcesses(session, [])).toEqual([]);
});

it('a group that a lease names is its own only where its session has one: all that is in it is ended (B64)', () => {
  const session = makeSessionId();
  const bases = cgroupBases().map(({ path }) => path);
  const others = ['/sys/fs/cgroup', '/sys', ...bases, ...bases.map((path) => `${path}/..`), '/proc/self'];
  expect(findCgroups(session, others)).toEqual([]);
});
