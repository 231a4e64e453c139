import { expect, it } from 'vitest';
import type { Exit, Sandbox } from '../../src/sandbox/backend.ts';
import { stopSandbox } from '../../src/session/stop-sandbox.ts';

const exitBy = (signal: NodeJS.Signals | null): Exit => ({
  code: signal === null ? 0 : 128,
  signal,
  outOfMemory: false,
});
const never = new Promise<never>(() => {});

/** A sandbox that ends of what `endsOf` says; `did` is what was done to it. */
function sandboxThat(endsOf: (signal: string) => boolean, refuses = false) {
  const did: string[] = [];
  const exit = Promise.withResolvers<Exit>();
  const get = async (signal: NodeJS.Signals): Promise<void> => {
    did.push(signal);
    if (refuses) throw new Error('no such process');
    if (endsOf(signal)) exit.resolve(exitBy(signal));
  };
  const sandbox: Sandbox = {
    exited: exit.promise,
    counters: () => ({ denied: [], observed: [], blocked: [], dropped: 0, sources: [] }),
    signal: get,
    kill: async () => {
      did.push('kill');
      exit.resolve(exitBy('SIGKILL'));
    },
    resize: async () => {},
  };
  return { sandbox, did, exit };
}
const watch = { signal: (): NodeJS.Signals => 'SIGINT', impatient: never };

it('an agent that has exited is left alone', async () => {
  const { sandbox, did, exit } = sandboxThat(() => false);
  exit.resolve(exitBy(null));
  expect(await stopSandbox(sandbox, 60_000, watch)).toEqual(exitBy(null));
  expect(did).toEqual([]);
});

it('one that ends of the signal that asked for it is not killed', async () => {
  const { sandbox, did } = sandboxThat((signal) => signal === 'SIGINT');
  expect(await stopSandbox(sandbox, 60_000, watch)).toEqual(exitBy('SIGINT'));
  expect(did).toEqual(['SIGINT']);
});

it.each([
  ['after the grace', 10, watch, false],
  ['at once when whoever asked has lost patience', 3_600_000, { ...watch, impatient: Promise.resolve() }, false],
  ['also when the signal could not be sent', 10, watch, true],
] as const)('one that does not is killed %s', async (_, graceMs, by, refuses) => {
  const { sandbox, did } = sandboxThat(() => false, refuses);
  expect(await stopSandbox(sandbox, graceMs, by)).toEqual(exitBy('SIGKILL'));
  expect(did).toEqual(['SIGINT', 'kill']);
});

it('how it ended may be something that nobody learns', async () => {
  const { sandbox, did } = sandboxThat(() => false);
  expect(await stopSandbox({ ...sandbox, exited: Promise.reject(new Error('lost')) }, 60_000, watch)).toBeNull();
  expect(did).toEqual([]);
});
