import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Failure } from '../failure.ts';

/** The policy files as they are on disk: what the compiler takes. */
export interface PolicyFile {
  /** As people should see it: relative to the working directory when below it. */
  readonly path: string;
  readonly text: string;
}

/** Reads the YAML files of a directory, sorted by name; fixtures and other files are left alone. */
export function readPolicyFiles(directory: string): PolicyFile[] {
  let names: string[];
  try {
    names = readdirSync(directory).filter((name) => /\.ya?ml$/.test(name) && !name.startsWith('.')).sort();
  } catch (error) {
    throw new Failure(`cannot read the policies in ${directory}: ${(error as Error).message}`, 'name their directory with --policies DIR');
  }
  return names.map((name) => {
    const path = join(directory, name);
    try {
      return { path: shown(path), text: readFileSync(path, 'utf8') };
    } catch (error) {
      throw new Failure(`cannot read ${path}: ${(error as Error).message}`);
    }
  });
}

function shown(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
}
export function readFixtureFiles(): PolicyFile[] { return []; }
