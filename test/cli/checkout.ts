import { cpSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ROOT, scratch } from './command-line.ts';

const MADE = new Set(['node_modules', 'dist', '.compiled', '.cache', 'build', 'edge']);

/** A checkout of its own, for what builds and changes in it, with what npm installed in this one. */
export function checkout(...paths: string[]): { readonly at: (path: string) => string; readonly remove: () => void } {
  const place = scratch();
  const at = (path: string): string => join(place.path, path);
  const filter = (from: string): boolean => !MADE.has(basename(from)) || from.includes('/src/');
  for (const path of ['package.json', 'runner', 'src', ...paths]) {
    cpSync(join(ROOT, path), at(path), { recursive: true, filter });
  }
  for (const path of ['node_modules', 'runner/node_modules']) symlinkSync(join(ROOT, path), at(path));
  return { at, remove: place.remove };
}
