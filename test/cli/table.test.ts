import { describe, expect, it } from 'vitest';
import { fittedWidths } from '../../runner/src/cli/table.ts';

const total = (widths: readonly number[]): number =>
  widths.reduce((sum, width) => sum + width, 2 * (widths.length - 1));

describe('the widths of a table', () => {
  it('are those of its content where there is room, and where there is no bound', () => {
    expect(fittedWidths([24, 4, 100], [0], Infinity)).toEqual([24, 4, 100]);
    expect(fittedWidths([24, 4, 100], [0], 132)).toEqual([24, 4, 100]);
  });

  it('fill the room: narrow columns stay whole, wide ones share what is left', () => {
    expect(fittedWidths([24, 4, 30, 100], [0], 100)).toEqual([24, 4, 30, 36]);
    expect(fittedWidths([24, 4, 100, 100], [0], 100)).toEqual([24, 4, 33, 33]);
    for (let room = 60; room < 300; room += 1)
      expect(total(fittedWidths([24, 128, 14, 60, 18, 500], [0, 2], room))).toBeLessThanOrEqual(Math.max(room, 80));
  });

  it('leave whole what means nothing in part, and of the rest something to see, however narrow', () => {
    expect(fittedWidths([24, 3, 100], [0], 10)).toEqual([24, 3, 8]);
  });
});
