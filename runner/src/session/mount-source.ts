import { type BigIntStats, closeSync, fstatSync, openSync, readlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { Failure } from '../failure.ts';

/** O_PATH of open(2), on every Linux: for what it is called, and is, not for what is in it. */
export const O_PATH = 0o10000000;

/** Where it really is, and what it is, of one and the same thing: an agent that may write above it could put another there between. */
export function sourceOf(path: string): { source: string; kind: BigIntStats } {
  try {
    const fd = openSync(resolve(path), O_PATH);
    try {
      return { source: readlinkSync(`/proc/self/fd/${fd}`), kind: fstatSync(fd, { bigint: true }) };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new Failure(
      `--mount ${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such folder' : (error as Error).message}`,
      'make it first, or name one that is there',
    );
  }
}
