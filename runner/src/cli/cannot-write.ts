import { dirname, resolve } from 'node:path';
import { Failure } from '../failure.ts';
import { codeOf } from '../state/private-file.ts';

/** Why a file that a person named cannot be made. */
export function cannotWrite(file: string, error: unknown): Failure {
  const folder = dirname(resolve(file));
  switch (codeOf(error)) {
    case 'EEXIST':
      return new Failure(`${file} exists already`, 'name a file that does not exist yet');
    case 'ENOENT':
      return new Failure(
        `cannot write ${file}: the folder ${folder} does not exist`,
        `make it first: mkdir -p ${folder}`,
      );
    case 'ENOTDIR':
      return new Failure(`cannot write ${file}: ${folder} is no folder`, 'name a file in a folder that exists');
    default:
      return new Failure(
        `cannot write ${file}: ${(error as Error).message}`,
        'name a file in a folder that you may write',
      );
  }
}
