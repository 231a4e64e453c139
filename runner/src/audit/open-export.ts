import { createReadStream, fstatSync, openSync } from 'node:fs';
import { Failure } from '../failure.ts';
import { codeOf } from '../state/private-file.ts';

const MEND = 'make one: keywarden audit export --out FILE';

/**
 * The bytes of an export in a file.
 *
 * @throws Failure when there is nothing to read.
 */
export function openExport(file: string): AsyncIterable<Uint8Array> {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw new Failure(`there is no file ${file}`, MEND);
    throw new Failure(`${file} cannot be read: ${(error as Error).message}`, 'it must be readable by you');
  }
  if (fstatSync(fd).isDirectory()) throw new Failure(`${file} is a folder, not an export`, MEND);
  return createReadStream(file, { fd });
}
