/**
 * A runner that kills itself, as `kill -9` would, right after a step of the session's life.
 *
 *   node driver.ts STATE BACKEND STEP EDGE_STATE|- -- CMD…
 *
 * Prints the session's id first. `never` for STEP lets it live; `traced:2` is the second time that it comes by.
 */
import { findEdge } from '../../../src/client/edge-address.ts';
import { EdgeClient } from '../../../src/client/edge-client.ts';
import type { Backend, BackendName } from '../../../src/sandbox/backend.ts';
import { backendOf } from '../../../src/session/choose-backend.ts';
import { runSession } from '../../../src/session/run-session.ts';
import { openRunnerState, runnerStateAt } from '../../../src/session/runner-state.ts';
import { sessionEdge } from '../../../src/session/session-edge.ts';
import { plainBackend } from './plain-backend.ts';
import { planOf, toolsOf } from './world.ts';

const [statePath = '', backendName = '', dieAt = '', edgeState = '-', dashes, ...argv] = process.argv.slice(2);
if (dashes !== '--' || argv.length === 0) throw new Error('usage: STATE BACKEND STEP EDGE_STATE|- -- CMD…');
const state = runnerStateAt(statePath);
openRunnerState(state);
const backend: Backend = backendName === 'plain' ? plainBackend() : await backendOf(backendName as BackendName);
const edge = edgeState === '-' ? null : sessionEdge(new EdgeClient(findEdge(edgeState)));
const [dieAtStep = '', nth = '1'] = dieAt.split(':');
let seen = 0;
const plan = planOf(state, {
  backend,
  argv,
  timeoutMs: Number(process.env['TIMEOUT_MS'] ?? 60_000),
  capabilities: edge === null ? [] : ['bank:read'],
});
process.stdout.write(`${plan.session}\n`);
const result = await runSession(
  plan,
  toolsOf(state, edge, {
    observe: (step) => {
      if (step === dieAtStep && ++seen === Number(nth)) process.kill(process.pid, 'SIGKILL');
    },
  }),
);
process.exit(result.exit?.code ?? 1);
