import { describe, expect, it } from 'vitest';
import { callObject } from '../../src/lib/object-call.ts';

const failing = (marks: object) => {
  const attempts: number[] = [];
  const error = Object.assign(new Error('away'), marks);
  const call = callObject(async (attempt) => {
    attempts.push(attempt);
    throw error;
  });
  return { attempts, error, call };
};

describe('a call of a Durable Object', () => {
  it('that is answered is made once', async () => {
    const attempts: number[] = [];
    const call = callObject(async (attempt) => {
      attempts.push(attempt);
      return 'answer';
    });
    expect(await call).toEqual({ ok: true, value: 'answer' });
    expect(attempts).toEqual([0]);
  });

  it('that the platform says may be repeated is made three times, each under its number', async () => {
    const { attempts, error, call } = failing({ retryable: true });
    expect(await call).toEqual({ ok: false, error });
    expect(attempts).toEqual([0, 1, 2]);
  });

  it('is answered by the attempt that succeeds', async () => {
    const call = callObject(async (attempt) => {
      if (attempt === 0) throw Object.assign(new Error('away'), { retryable: true });
      return attempt;
    });
    expect(await call).toEqual({ ok: true, value: 1 });
  });

  it.each([
    ['an object that is overloaded', { retryable: true, overloaded: true }],
    ['what is not said to be repeatable', {}],
    ['a mark that is none', { retryable: 'true' }],
  ])('is not made again for %s', async (_, marks) => {
    const { attempts, error, call } = failing(marks);
    expect(await call).toEqual({ ok: false, error });
    expect(attempts).toEqual([0]);
  });

  it('tells even what is no error', async () => {
    const nothing: unknown = null;
    expect(
      await callObject(async () => {
        throw nothing;
      }),
    ).toEqual({ ok: false, error: null });
  });
});
