import { type Colour, coloured, print } from './terminal.ts';

/**
 * Tables. Into a pipe or a file nothing is ever cut. On a terminal that is too narrow the widest columns are cut, and end
 * in `…`: one row stays one line. What the cells hold must be harmless already.
 */

export interface TableLook {
  readonly heading?: readonly string[];
  readonly colourOf?: (row: number, column: number) => Colour | null;
  /** Columns that are never cut, for they mean nothing in part: times, and ids that one copies. */
  readonly whole?: readonly number[];
}

type Rows = readonly (readonly string[])[];

export function printTable(rows: Rows, look: TableLook = {}): void {
  openTable(look)(rows);
}

/** A table that rows are added to as they come: the heading stands once, and columns only grow. */
export function openTable({ heading, colourOf, whole = [] }: TableLook): (rows: Rows) => void {
  const widths = (heading ?? []).map(widthOf);
  let headed = heading === undefined;
  return (rows) => {
    for (const row of rows) row.forEach((cell, c) => (widths[c] = Math.max(widths[c] ?? 0, widthOf(cell))));
    const room = process.stdout.isTTY ? (process.stdout.columns ?? Infinity) : Infinity;
    const fitted = fittedWidths(widths, whole, room);
    if (!headed && heading !== undefined) print(lineOf(heading, fitted, () => 'dim'));
    headed = true;
    rows.forEach((row, r) => print(lineOf(row, fitted, (c) => colourOf?.(r, c) ?? null)));
  };
}

const GAP = '  ';
const LEAST = 8;

/** The widths with which a line fits into `room`, if any do; narrow columns stay as they are, wide ones share the rest. */
export function fittedWidths(widths: readonly number[], whole: readonly number[], room: number): number[] {
  const fitted = [...widths];
  let spare = room - GAP.length * (widths.length - 1);
  for (const c of whole) spare -= widths[c] ?? 0;
  const flexible = widths.map((_, c) => c).filter((c) => !whole.includes(c));
  flexible.sort((a, b) => (widths[a] ?? 0) - (widths[b] ?? 0));
  flexible.forEach((c, i) => {
    const share = Math.max(LEAST, Math.floor(spare / (flexible.length - i)));
    fitted[c] = Math.min(widths[c] ?? 0, share);
    spare -= fitted[c];
  });
  return fitted;
}

function lineOf(
  row: readonly string[],
  widths: readonly number[],
  colourOf: (column: number) => Colour | null,
): string {
  const cells = row.map((cell, c) => {
    const width = widths[c] ?? 0;
    const fitting = widthOf(cell) > width ? `${[...cell].slice(0, Math.max(0, width - 1)).join('')}…` : cell;
    const padded = c === row.length - 1 ? fitting : fitting + ' '.repeat(Math.max(0, width - widthOf(fitting)));
    const colour = colourOf(c);
    return colour === null ? padded : coloured(colour, padded);
  });
  return cells.join(GAP).trimEnd();
}

/** Characters, not halves of them. */
const widthOf = (cell: string): number => [...cell].length;
