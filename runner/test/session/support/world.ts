import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend } from '../../../src/sandbox/backend.ts';
import { openEgress } from '../../../src/session/egress.ts';
import { boxFolder } from '../../../src/session/places.ts';
import type { SessionPlan, SessionTools } from '../../../src/session/run-session.ts';
import { runnerKey } from '../../../src/session/runner-key.ts';
import { openRunnerState, type RunnerState, runnerStateAt } from '../../../src/session/runner-state.ts';
import type { SessionEdge } from '../../../src/session/session-edge.ts';
import { makeSessionId } from '../../../src/session/session-id.ts';

export interface TestState {
  readonly state: RunnerState;
  readonly remove: () => void;
}

export function testState(): TestState {
  const state = runnerStateAt(mkdtempSync(join(tmpdir(), 'keywarden-runner-')));
  openRunnerState(state);
  return { state, remove: () => rmSync(state.path, { recursive: true, force: true }) };
}

export interface PlanOptions {
  readonly backend: Backend;
  readonly argv: readonly string[];
  readonly timeoutMs?: number;
  readonly graceMs?: number;
  readonly capabilities?: readonly string[];
  readonly agent?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const MIB = 1024 ** 2;

/** What `prepareRun` would make of it, without its questions to the host. */
export function planOf(state: RunnerState, options: PlanOptions): SessionPlan {
  const session = makeSessionId();
  const capabilities = options.capabilities ?? [];
  const path = '/usr/local/bin:/usr/bin:/bin';
  return {
    session,
    agent: options.agent ?? 'worker',
    host: 'test-host',
    backend: options.backend,
    timeoutMs: options.timeoutMs ?? 30_000,
    graceMs: options.graceMs ?? 1_000,
    capabilities,
    requireCount: false,
    folder: boxFolder(state, session, options.backend.name === 'namespace'),
    started: {
      program: options.argv[0]?.split('/').at(-1) ?? '',
      argv: options.argv.map((text) => text.slice(0, 256)),
      argv_omitted: 0,
      root: null,
      mounts: [],
      limits: {},
      layers: [],
      capabilities: [...capabilities],
      secrets: [],
    },
    sandbox: {
      argv: options.argv,
      env: { PATH: path, HOME: '/home/agent', KEYWARDEN_URL: 'http://127.0.0.1:8787', ...options.env },
      workdir: '/tmp',
      mounts: [],
      limits: {
        memoryBytes: 512 * MIB,
        cpus: 1,
        pids: 128,
        openFiles: 1024,
        fileBytes: 64 * MIB,
        tmpBytes: 64 * MIB,
      },
      egressPort: 8787,
      tty: false,
      root: null,
      decoys: true,
    },
  };
}

export function toolsOf(state: RunnerState, edge: SessionEdge | null, more: Partial<SessionTools> = {}): SessionTools {
  return {
    state,
    key: runnerKey(state),
    edge,
    openEgress,
    streams: () => ({ kind: 'inherit' }),
    listener: { started: () => {}, counted: () => {}, ended: () => {} },
    observe: () => {},
    say: () => {},
    phase: () => {},
    ...more,
  };
}
