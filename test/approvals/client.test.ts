import { expect, it, vi } from 'vitest';
import { findApproval } from '../../src/approvals/client.ts';

/** A desk that fails as said, call by call, and then answers. */
function failing(errors: readonly object[]) {
  const get = vi.fn(async () => {
    const error = errors[get.mock.calls.length - 1];
    if (error !== undefined) throw Object.assign(new Error('gone'), error);
    return null;
  });
  const stubs = vi.fn(() => ({ get }));
  return { get, stubs, env: { APPROVALS: { idFromName: () => null, get: stubs } } as never };
}
const LOST = { retryable: true };

it.each<[string, object[], boolean, number]>([
  ['what was lost is asked again', [LOST, LOST], true, 3],
  ['three times at most', [LOST, LOST, LOST, LOST], false, 3],
  ['an overloaded platform is left alone', [{ retryable: true, overloaded: true }], false, 1],
  ['what may have been done is not done again', [{}], false, 1],
])('of the desk, %s, each time by a fresh stub', async (_, errors, ok, times) => {
  const error = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const desk = failing(errors);
  expect(await findApproval(desk.env, 'id')).toMatchObject(
    ok ? { ok } : { ok, error: { code: 'approvals_unavailable' } },
  );
  expect([desk.get.mock.calls.length, desk.stubs.mock.calls.length]).toEqual([times, times]);
  error.mockRestore();
});
