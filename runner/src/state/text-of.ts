import { readFileSync } from 'node:fs';

/** A file's text; empty when it is not there or cannot be read, as files of /proc and /sys come and go. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
