import { expect, it, onTestFinished } from 'vitest';
import { prepareRun } from '../../src/session/prepare.ts';
import { plainBackend } from './support/plain-backend.ts';
import { testState } from './support/world.ts';

it.each([null, false])(
  'what a receipt shows of the command holds no secret, masked output or not (%s)',
  async (mask) => {
    const world = testState();
    onTestFinished(() => world.remove());
    const value = 'hunter2-sesame';
    process.env['PREPARE_TEST_SECRET'] = value;
    onTestFinished(() => void delete process.env['PREPARE_TEST_SECRET']);
    const { plan } = await prepareRun(
      {
        argv: [`/opt/${value}`, `x${value}x`, '--', value],
        agent: 'worker',
        capabilities: [],
        backend: 'auto',
        timeoutSeconds: 60,
        mounts: [],
        mountAnyway: false,
        env: [],
        secrets: ['DB=env:PREPARE_TEST_SECRET'],
        mask,
        memoryBytes: null,
        cpus: null,
        pids: null,
        image: null,
        root: null,
        workdir: null,
        decoys: true,
        requireCount: false,
        tty: false,
        hasEdge: false,
        dryRun: false,
        state: world.state,
      },
      async () => ({ backend: plainBackend(), layers: [] }),
    );
    expect(JSON.stringify(plan.started)).not.toContain(value);
    expect(plan.started).toMatchObject({ program: expect.stringMatching(/masked|redacted/), secrets: ['DB'] });
    // The agent has it (control).
    expect(plan.sandbox.env['DB']).toBe(value);
    expect(plan.sandbox.argv).toContain(value);
  },
);
