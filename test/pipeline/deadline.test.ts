import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadline } from '../../src/pipeline/deadline.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const of = (ms: number): { deadline: Deadline; passed: () => void } => {
  const passed = vi.fn<() => void>();
  return { deadline: new Deadline(ms, passed), passed };
};

describe('a deadline', () => {
  it('passes once, in its time', () => {
    const { deadline, passed } = of(100);
    vi.advanceTimersByTime(99);
    expect(deadline.passed).toBe(false);
    vi.advanceTimersByTime(1_000);
    expect(deadline.passed).toBe(true);
    expect(passed).toHaveBeenCalledTimes(1);
  });

  it('moved on, passes so long after', () => {
    const { deadline } = of(100);
    vi.advanceTimersByTime(80);
    deadline.extend(100);
    vi.advanceTimersByTime(99);
    expect(deadline.passed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(deadline.passed).toBe(true);
  });

  it('drawn nearer, passes sooner', () => {
    const { deadline, passed } = of(10_000);
    deadline.extend(50);
    vi.advanceTimersByTime(50);
    expect(deadline.passed).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(passed).toHaveBeenCalledTimes(1);
  });

  it('that has passed cannot be moved on: the exchange is over', () => {
    const { deadline, passed } = of(100);
    vi.advanceTimersByTime(100);
    deadline.extend(100);
    vi.advanceTimersByTime(60_000);
    expect(passed).toHaveBeenCalledTimes(1);
    expect(deadline.passed).toBe(true);
  });

  it('does not pass while it is paused, however long a slow client takes, and counts anew after that', () => {
    const { deadline } = of(100);
    deadline.pause();
    vi.advanceTimersByTime(60_000);
    expect(deadline.passed).toBe(false);
    expect(vi.getTimerCount(), 'nor does it keep a timer').toBe(0);
    deadline.extend(100);
    vi.advanceTimersByTime(100);
    expect(deadline.passed).toBe(true);
  });

  it('cleared, never passes', () => {
    const { deadline, passed } = of(100);
    deadline.clear();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(60_000);
    expect(passed).not.toHaveBeenCalled();
  });
});
