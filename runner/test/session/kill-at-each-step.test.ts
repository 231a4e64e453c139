import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SessionDetail } from '../../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../../../test/support/edge.ts';
import { end, type Started, start, until } from '../../../test/support/process.ts';
import { json, startUpstream, type Upstream } from '../../../test/support/upstream.ts';
import { findEdge } from '../../src/client/edge-address.ts';
import { EdgeClient } from '../../src/client/edge-client.ts';
import type { Leftover } from '../../src/sandbox/backend.ts';
import { engineAt, socketOf } from '../../src/sandbox/docker/engine.ts';
import { findProcesses } from '../../src/sandbox/namespace/find.ts';
import { bootMs } from '../../src/session/boot-clock.ts';
import { readLease } from '../../src/session/lease.ts';
import { hasReceipt } from '../../src/session/receipt.ts';
import { runSession } from '../../src/session/run-session.ts';
import { runnerKey } from '../../src/session/runner-key.ts';
import { sessionEdge } from '../../src/session/session-edge.ts';
import { SESSION_STEPS, type SessionStep } from '../../src/session/steps.ts';
import { sweepLeases } from '../../src/session/sweep-leases.ts';
import { textOf } from '../../src/state/text-of.ts';
import { type BackendUnderTest, backendUnderTest, type NameUnderTest } from './support/backends.ts';
import { planOf, type TestState, testState, toolsOf } from './support/world.ts';

const DRIVER = fileURLToPath(new URL('support/driver.ts', import.meta.url));

let upstream: Upstream;
let edge: TestEdge;
beforeAll(async () => {
  upstream = await startUpstream(json({ ok: true }));
  edge = await startTestEdge({
    policies: {
      'bank.yaml': `service: bank
origin: ${upstream.origin}
credential: { scheme: bearer, secret: BANK_KEY }
capabilities: { read: { allow: GET /v1/balance } }
`,
    },
    vars: { BANK_KEY: 'sk_live_kill_0123456789' },
  });
});
afterAll(async () => {
  await edge?.stop();
  await upstream?.stop();
});

/** Steps at which the agent is meant to run until somebody ends it; at the later ones it has to end by itself. */
const WHILE_STARTING = new Set<SessionStep>(SESSION_STEPS.slice(0, SESSION_STEPS.indexOf('ending')));

/** Every time that something is traced is a step of its own: what stands then is different. */
const TRACES = { plain: 1, namespace: process.getuid?.() === 0 ? 4 : 1, docker: 2 } as const;
const stepsOf = (name: NameUnderTest): string[] =>
  SESSION_STEPS.flatMap((step) =>
    step === 'traced' ? Array.from({ length: TRACES[name] }, (_, i) => `traced:${i + 1}`) : [step],
  );

describe.each(['plain', 'namespace', 'docker'] as const)(
  'kill -9 of the runner with the %s backend (threats B 61, 64)',
  (name) => {
    let world: TestState;
    let under: BackendUnderTest;
    let neighbour: Started;
    let neighbourSession = '';
    const drive = (step: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): Started =>
      start(process.execPath, [DRIVER, world.state.path, name, step, edge.state, '--', ...argv], {
        env: { ...process.env, ...env },
      });
    const sessionOf = async (program: Started): Promise<string> => {
      await until('the session id', () => /^ses_\w{26}$/m.test(program.output()));
      return /^ses_\w{26}$/m.exec(program.output())?.[0] ?? '';
    };
    const left = async (session: string) =>
      under.backend.leftovers(
        session,
        readLease(world.state, session)?.traces ?? [],
        join(world.state.path, 'no-folder'),
      );
    const running = async (program: Started): Promise<string> => {
      const session = await sessionOf(program);
      await until(
        'the agent to run',
        () => readLease(world.state, session)?.runningAt != null || program.child.exitCode !== null,
      );
      expect(program.child.exitCode, program.output()).toBeNull();
      return session;
    };
    /** Without any sweep: what runs must end by itself, when nobody is left to end it. The plain backend has nobody. */
    const endsByItself = async (session: string): Promise<void> => {
      if (name === 'plain') return;
      const isDead = async (): Promise<boolean> =>
        (await Promise.all((await left(session)).map(isInert))).every((inert) => inert);
      await until('the agent to be dead', isDead, 10_000);
    };
    const sweep = async (): Promise<string[]> => {
      const said: string[] = [];
      await sweepLeases({
        state: world.state,
        key: () => runnerKey(world.state),
        edge: sessionEdge(new EdgeClient(findEdge(edge.state))),
        backendOf: async () => under.backend,
        say: (line) => said.push(line),
      });
      return said;
    };
    const isAlone = async (): Promise<void> => {
      expect(neighbour.child.exitCode).toBeNull();
      expect((await left(neighbourSession)).length).toBeGreaterThan(0);
    };

    beforeAll(async () => {
      under = await backendUnderTest(name);
      world = testState();
      neighbour = drive('never', ['/bin/sleep', '300'], { TIMEOUT_MS: '300000' });
      neighbourSession = await running(neighbour);
      expect(readLease(world.state, neighbourSession)?.traces).toHaveLength(TRACES[name]);
    });
    afterAll(async () => {
      if (neighbour !== undefined) await end(neighbour);
      world?.remove();
      under?.stop();
    });

    it.each(stepsOf(name))(
      'after %s: nothing runs on, the next sweep leaves nothing, the neighbour lives',
      async (at) => {
        const step = at.split(':')[0] as SessionStep;
        const argv = WHILE_STARTING.has(step)
          ? ['/bin/sh', '-c', 'sleep 300 & sleep 300']
          : ['/bin/sh', '-c', 'exit 3'];
        const program = drive(at, argv);
        const session = await sessionOf(program);
        expect(await program.ended, program.output()).toMatchObject({ signal: 'SIGKILL' });
        await endsByItself(session);
        const began = Date.now();
        const said = await sweep();
        expect(await left(session), said.join('\n')).toEqual([]);
        expect(Date.now() - began).toBeLessThan(10_000);
        expect(readdirSync(world.state.sessions), said.join('\n')).toEqual([neighbourSession]);

        // Whoever wrote it, there is one receipt from the moment there was a lease, and the edge has it if it knew the session.
        expect(hasReceipt(world.state, session)).toBe(step !== 'lease_drafted');
        expect(readdirSync(world.state.receipts).filter((file) => file.endsWith('.pending'))).toEqual([]);
        const answer = await edge.operate(`/v1/sessions/${session}`);
        if (step === 'lease_drafted' || step === 'lease_written') expect(answer.status).toBe(404);
        else {
          const detail = (await answer.json()) as SessionDetail;
          const reason = WHILE_STARTING.has(step)
            ? 'runner_died'
            : step === 'ending' || step === 'stopped'
              ? detail.reason
              : 'exited';
          expect(detail).toMatchObject({ state: 'ended', reason, absence_proven: true });
        }
        await isAlone();
      },
    );

    it('in the midst of the grace, while the agent ignores SIGTERM', async () => {
      const deaf = 'trap "" TERM HUP INT; (while :; do sleep 1; done) & while :; do sleep 1; done';
      const program = drive('never', ['/bin/sh', '-c', deaf]);
      const session = await running(program);
      program.child.kill('SIGTERM');
      await new Promise((resolve) => setTimeout(resolve, 300));
      program.child.kill('SIGKILL');
      await program.ended;
      await endsByItself(session);
      const said = await sweep();
      expect(await left(session), said.join('\n')).toEqual([]);
      expect(readdirSync(world.state.sessions), said.join('\n')).toEqual([neighbourSession]);
      await isAlone();
    });

    // Where nothing of ours is PID 1, there is no clock inside.
    if (name === 'plain') return;

    it('a host that stood still: with the runner and its supervisor stopped, PID 1 ends the agent at the deadline (B63)', async () => {
      const program = drive('never', ['/bin/sh', '-c', 'trap "" TERM; while :; do sleep 1; done'], {
        TIMEOUT_MS: '2000',
      });
      const session = await running(program);
      const traces = readLease(world.state, session)?.traces ?? [];
      const supervisor = traces.find((trace) => trace.kind === 'process')?.pid ?? 0;
      for (const pid of [program.pid, supervisor]) process.kill(pid, 'SIGSTOP');
      try {
        const isDead = async (): Promise<boolean> =>
          (await left(session)).every(({ kind, name: what }) => kind === 'cgroup' || what.startsWith(`${supervisor} `));
        // Two seconds of life, one of grace.
        await until('the agent to be dead', isDead, 8_000);
      } finally {
        for (const pid of [supervisor, program.pid]) process.kill(pid, 'SIGCONT');
      }
      await program.ended;
      const { receipt } = JSON.parse(readFileSync(join(world.state.receipts, `${session}.json`), 'utf8'));
      expect(receipt).toMatchObject({ reason: 'deadline', absence: { proven: true }, written_by: 'runner' });
    });

    it('PID 1 waits by the clock that nobody sets and that counts sleep (B63)', async () => {
      const pid = await firstProcessOf(neighbourSession);
      const timer = readdirSync(`/proc/${pid}/fd`)
        .map((fd) => textOf(`/proc/${pid}/fdinfo/${fd}`))
        .find((info) => info.includes('clockid'));
      // CLOCK_BOOTTIME of clock_gettime(2).
      expect(timer).toMatch(/^clockid: 7$/m);
      const seconds = Number(/^it_value: \((\d+),/m.exec(timer ?? '')?.[1]);
      const lease = readLease(world.state, neighbourSession);
      expect(Math.abs(seconds * 1000 - ((lease?.deadlineBootMs ?? 0) - bootMs()))).toBeLessThan(3_000);
    });

    it.each([
      ['forward', 86_400_000],
      ['back', -86_400_000],
    ])('a wall clock that is set %s by a day in mid-life moves no deadline (B63)', async (_, step) => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
      try {
        const plan = planOf(world.state, { backend: under.backend, argv: ['/bin/sleep', '60'], timeoutMs: 2_500 });
        const began = performance.now();
        const ran = runSession(
          plan,
          toolsOf(world.state, null, {
            observe: (done) => void (done === 'running' && vi.setSystemTime(Date.now() + step)),
          }),
        );
        await until('it to run', () => readLease(world.state, plan.session)?.runningAt != null);
        // Neither its own runner nor anybody's sweep ends it before its time.
        await sweep();
        const { receipt } = await ran;
        const took = performance.now() - began;
        expect(receipt).toMatchObject({ reason: 'deadline', exit_code: 143, absence: { proven: true } });
        expect(took).toBeGreaterThan(2_400);
        expect(took).toBeLessThan(6_000);
        expect(receipt.at.duration_ms).toBeLessThan(6_000);
      } finally {
        vi.useRealTimers();
      }
      await isAlone();
    });
  },
);

/** A control group without a process, or a container that was made and never started, does nothing. */
async function isInert({ kind, name }: Leftover): Promise<boolean> {
  if (kind !== 'container') return kind === 'cgroup';
  try {
    return (await engineAt(socketOf()).getContainer(name).inspect()).State.Status === 'created';
  } catch {
    // Gone since it was listed: the next look tells.
    return false;
  }
}

/** The sandbox's PID 1, as the host knows it. */
async function firstProcessOf(session: string): Promise<number> {
  const found = findProcesses(session, []).find(
    ({ pid }) =>
      /^NSpid:.*\s1$/m.test(textOf(`/proc/${pid}/status`)) && textOf(`/proc/${pid}/cmdline`).includes('init'),
  );
  if (found === undefined) throw new Error(`${session} has no PID 1`);
  return found.pid;
}
