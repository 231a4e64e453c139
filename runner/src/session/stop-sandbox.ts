import { setTimeout as delay } from 'node:timers/promises';
import type { Exit, Sandbox } from '../sandbox/backend.ts';
import type { Watch } from './watch.ts';

/** Killing takes what the kernel needs to reap; a process in the midst of I/O may need some of it. */
const KILL_PATIENCE_MS = 10_000;

/**
 * Ends the sandbox: the signal, the grace, SIGKILL to everything. An agent that has exited is left alone: what it left behind
 * died with its PID 1.
 *
 * @returns How it ended; null when even that could not be learned.
 */
export async function stopSandbox(
  sandbox: Sandbox,
  graceMs: number,
  watch: Pick<Watch, 'signal' | 'impatient'>,
): Promise<Exit | null> {
  const exited = sandbox.exited.catch(() => null);
  const already = await Promise.race([exited.then((exit) => ({ exit })), delay(0, null)]);
  if (already !== null) return already.exit;
  await sandbox.signal(watch.signal()).catch(() => {});
  const done = await Promise.race([
    exited.then((exit) => ({ exit })),
    delay(graceMs, null, { ref: false }),
    watch.impatient.then(() => null),
  ]);
  if (done !== null) return done.exit;
  await Promise.race([sandbox.kill().catch(() => {}), delay(KILL_PATIENCE_MS, undefined, { ref: false })]);
  return Promise.race([exited, delay(1_000, null, { ref: false })]);
}
