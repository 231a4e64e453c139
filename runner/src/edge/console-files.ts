import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { inProject } from '../project.ts';
import { readWorkerSettings } from './worker-settings.ts';

/**
 * A fresh checkout has the console's sources only: they are built once, in a second, so that the sign-in link that is printed
 * leads somewhere. Where that fails the edge serves all the same, and says what is missing.
 */
export function buildConsole(say: (line: string) => void): void {
  const script = inProject('scripts/console.ts');
  if (readWorkerSettings().assets !== null || !existsSync(script)) return;
  const built = spawnSync(process.execPath, [script], { cwd: inProject('.'), encoding: 'utf8' });
  if (built.status === 0) return;
  const why = built.error?.message ?? built.stderr.trim().split('\n').at(-1) ?? '';
  say(`the console could not be built (npm run build:console tells more), /console/ is not served: ${why}`);
}
