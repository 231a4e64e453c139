import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SessionDetail } from '../../../src/protocol.ts';
import { startTestEdge, type TestEdge } from '../../../test/support/edge.ts';
import { end, type Started, start, until } from '../../../test/support/process.ts';
import { json, startUpstream, type Upstream } from '../../../test/support/upstream.ts';
import { findEdge } from '../../src/client/edge-address.ts';
import { EdgeClient } from '../../src/client/edge-client.ts';
import type { Backend } from '../../src/sandbox/backend.ts';
import { readLease } from '../../src/session/lease.ts';
import { hasReceipt } from '../../src/session/receipt.ts';
import { runnerKey } from '../../src/session/runner-key.ts';
import { sessionEdge } from '../../src/session/session-edge.ts';
import { SESSION_STEPS, type SessionStep } from '../../src/session/steps.ts';
import { sweepLeases } from '../../src/session/sweep-leases.ts';
import { backendsUnderTest } from './support/backends.ts';
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

describe.each(await backendsUnderTest())(
  'kill -9 of the runner with the $name backend (threats B 61, 64)',
  ({ name, backend }) => {
    let world: TestState;
    let neighbour: Started;
    let neighbourSession = '';
    const drive = (step: string, argv: readonly string[]): Started =>
      start(process.execPath, [DRIVER, world.state.path, name, step, edge.state, '--', ...argv]);
    const sessionOf = async (program: Started): Promise<string> => {
      await until('the session id', () => /^ses_\w{26}$/m.test(program.output()));
      return /^ses_\w{26}$/m.exec(program.output())?.[0] ?? '';
    };
    const left = async (session: string, made: Backend) =>
      made.leftovers(session, readLease(world.state, session)?.traces ?? [], '/nonexistent');

    beforeAll(async () => {
      world = testState();
      neighbour = drive('never', ['/bin/sleep', '300']);
      neighbourSession = await sessionOf(neighbour);
      await until('the neighbour to run', () => readLease(world.state, neighbourSession)?.runningAt != null);
    });
    afterAll(async () => {
      await end(neighbour);
      world.remove();
    });

    it.each(SESSION_STEPS)('after %s: the next sweep leaves nothing, and the neighbour lives', async (step) => {
      const argv = WHILE_STARTING.has(step) ? ['/bin/sh', '-c', 'sleep 300 & sleep 300'] : ['/bin/sh', '-c', 'exit 3'];
      const program = drive(step, argv);
      const session = await sessionOf(program);
      expect(await program.ended, program.output()).toMatchObject({ signal: 'SIGKILL' });
      const began = Date.now();
      const said: string[] = [];
      await sweepLeases({
        state: world.state,
        key: () => runnerKey(world.state),
        edge: sessionEdge(new EdgeClient(findEdge(edge.state))),
        backendOf: async () => backend,
        say: (line) => said.push(line),
      });
      expect(await left(session, backend), said.join('\n')).toEqual([]);
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

      expect(neighbour.child.exitCode).toBeNull();
      expect((await left(neighbourSession, backend)).length).toBeGreaterThan(0);
    });
  },
);
