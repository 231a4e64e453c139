import { randomBytes } from 'node:crypto';
import { linkSync, unlinkSync } from 'node:fs';
import { Failure } from '../failure.ts';
import { checkSigningKey, makeSigningKey, type SigningJwk } from '../state/keys.ts';
import { codeOf, readPrivateFile, writePrivateFile } from '../state/private-file.ts';
import type { RunnerState } from './runner-state.ts';

const MEND = 'delete it: the next session makes a new one, and older receipts then need --key to be verified';

/** The runner's key, made on first use. Of two runners that make it at once one wins, and both use that one. */
export function runnerKey(state: RunnerState): SigningJwk {
  const there = existingRunnerKey(state);
  if (there !== null) return there;
  const draft = `${state.keyFile}.${randomBytes(6).toString('hex')}`;
  const made = makeSigningKey();
  try {
    writePrivateFile(draft, `${JSON.stringify(made)}\n`);
  } catch (error) {
    throw new Failure(
      `the runner's key cannot be written to ${state.keyFile}: ${(error as Error).message}`,
      `nothing was started; is there room on the disk of ${state.path}?`,
    );
  }
  try {
    linkSync(draft, state.keyFile);
    return made;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  return existingRunnerKey(state) ?? runnerKey(state);
}

export function existingRunnerKey(state: RunnerState): SigningJwk | null {
  const text = readPrivateFile(state.keyFile);
  return text === null ? null : checkSigningKey(text, state.keyFile, MEND);
}
