import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * One folder for what a run of tests puts into the temporary folder, removed with all of it at the end: a test that fails, or a
 * program that is killed, leaves there what nobody else would remove. Other users write to it as to /tmp.
 *
 * Short: below it are unix sockets, whose paths are.
 */
export default function setup(): () => void {
  const before = process.env['TMPDIR'];
  const folder = mkdtempSync(join(tmpdir(), 'kwt-'));
  chmodSync(folder, 0o1777);
  process.env['TMPDIR'] = folder;
  return () => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    try {
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    } catch (error) {
      console.error(`not all of ${folder} could be removed: ${(error as Error).message}`);
    }
  };
}
