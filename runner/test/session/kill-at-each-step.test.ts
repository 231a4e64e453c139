import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionDetail } from '../../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../../../test/support/edge.ts';
import { end, type Started, start, until } from '../../../test/support/process.ts';
import { json, startUpstream, type Upstream } from '../../../test/support/upstream.ts';
import { findEdge } from '../../src/client/edge-address.ts';
import { EdgeClient } from '../../src/client/edge-client.ts';
import type { Leftover } from '../../src/sandbox/backend.ts';
import { engineAt, socketOf } from '../../src/sandbox/docker/engine.ts';
import { readLease } from '../../src/session/lease.ts';
import { hasReceipt } from '../../src/session/receipt.ts';
import { runnerKey } from '../../src/session/runner-key.ts';
import { sessionEdge } from '../../src/session/session-edge.ts';
import { SESSION_STEPS, type SessionStep } from '../../src/session/steps.ts';
import { sweepLeases } from '../../src/session/sweep-leases.ts';
import { type BackendUnderTest, backendUnderTest, type NameUnderTest } from './support/backends.ts';
import { type TestState, testState } from './support/world.ts';

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
    const drive = (step: string, argv: readonly string[]): Started =>
      start(process.execPath, [DRIVER, world.state.path, name, step, edge.state, '--', ...argv]);
    const sessionOf = async (program: Started): Promise<string> => {
      await until('the session id', () => /^ses_\w{26}$/m.test(program.output()));
      return /^ses_\w{26}$/m.exec(program.output())?.[0] ?? '';
    };
    const left = async (session: string) =>
      under.backend.leftovers(session, readLease(world.state, session)?.traces ?? [], '/nonexistent');
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
      neighbour = drive('never', ['/bin/sleep', '300']);
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
