import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Failure } from '../failure.ts';

/** A file of a policy directory as the compiler takes it; `name` is relative to the directory, with `/`. */
export interface PolicyFile {
  readonly name: string;
  readonly text: string;
}

/** Reads the YAML files of a policy directory and of its `tests/`, sorted by name. */
export function readPolicyFiles(directory: string): PolicyFile[] {
  const names = [...namesIn(directory), ...namesIn(join(directory, 'tests'), true).map((name) => `tests/${name}`)];
  return names.map((name) => {
    try {
      return { name, text: readFileSync(join(directory, name), 'utf8') };
    } catch (error) {
      throw new Failure(`cannot read ${join(directory, name)}: ${(error as Error).message}`);
    }
  });
}

function namesIn(directory: string, optional = false): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.ya?ml$/.test(name) && !name.startsWith('.'))
      .sort();
  } catch (error) {
    if (optional) return [];
    throw new Failure(
      `cannot read the policies in ${directory}: ${(error as Error).message}`,
      'name the directory that holds them',
    );
  }
}

/** How people see a file of the directory: from where they stand, when it is below. */
export function shownName(directory: string, name: string): string {
  const path = join(directory, name);
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
}
