import { readdirSync, statSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { existingRunnerKey, runnerKey } from '../../src/session/runner-key.ts';
import type { RunnerState } from '../../src/session/runner-state.ts';
import type { SigningJwk } from '../../src/state/keys.ts';
import { type TestState, testState } from './support/world.ts';

let world: TestState;
beforeEach(() => {
  world = testState();
});
afterEach(() => world.remove());

it('the key is made once, for its owner alone, and is the same from then on', () => {
  expect(existingRunnerKey(world.state)).toBeNull();
  const made = runnerKey(world.state);
  expect(runnerKey(world.state)).toEqual(made);
  expect(existingRunnerKey(world.state)).toEqual(made);
  expect(statSync(world.state.keyFile).mode & 0o777).toBe(0o600);
});

it('of two runners that make it at once both use the one that stays, and nothing is left beside it', () => {
  let other: SigningJwk | null = null;
  let looks = 0;
  const state: RunnerState = {
    ...world.state,
    // The first look found none; before the key that is made is laid down, another runner lays down its own.
    get keyFile() {
      if (++looks === 2) other = runnerKey(world.state);
      return world.state.keyFile;
    },
  };
  const mine = runnerKey(state);
  expect(other).not.toBeNull();
  expect([mine, existingRunnerKey(world.state)]).toEqual([other, other]);
  expect(readdirSync(world.state.path).sort()).toEqual(['receipts', 'runner.jwk', 'sessions']);
});
