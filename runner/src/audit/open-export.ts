import { type FileHandle, open } from 'node:fs/promises';
import { Failure } from '../failure.ts';
import { codeOf } from '../state/private-file.ts';

const MEND = 'make one: keywarden audit export --out FILE';

/**
 * The bytes of an export in a file, or in a pipe, whose writer may be late: meanwhile signals are heard.
 *
 * @param file  `-` is standard input.
 * @throws Failure when there is nothing to read.
 */
export async function openExport(file: string): Promise<AsyncIterable<Uint8Array>> {
  if (file === '-') return process.stdin;
  const handle = await opened(file);
  if ((await handle.stat()).isDirectory()) {
    await handle.close();
    throw new Failure(`${file} is a folder, not an export`, MEND);
  }
  return handle.createReadStream();
}

async function opened(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw new Failure(`there is no file ${file}`, MEND);
    throw new Failure(`${file} cannot be read: ${(error as Error).message}`, 'it must be readable by you');
  }
}
