import { spawn, spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { harmlessLine } from '../cli/terminal.ts';
import { inProject } from '../project.ts';

/** The demo agent in its sandbox, which may still be waiting for a person. */
export interface FirstSession {
  /** What it has said until it waited or ended. */
  readonly lines: readonly string[];
  readonly stop: () => Promise<void>;
}

const PATIENCE_MS = 60_000;

/**
 * Starts the demo agent with `keywarden run`, as a user would, and returns when it waits for a person's decision.
 *
 * @param later  what it says afterwards.
 * @returns null when this host cannot make a sandbox; the reason was said.
 */
export async function firstSession(
  stateDir: string,
  say: (line: string) => void,
  later: (line: string) => void,
): Promise<FirstSession | null> {
  // As root on Debian it installs them; elsewhere it tells the command, and the run below says what is missing.
  spawnSync(
    process.execPath,
    [inProject('scripts', 'system-packages.ts'), '--optional', 'bubblewrap', 'gcc', 'libc6-dev'],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const lines: string[] = [];
  const child = spawn(
    process.execPath,
    [
      ...[inProject('runner', 'bin', 'keywarden.js'), 'run', '--quiet', '--state', stateDir],
      ...['--agent', 'demo', '--can', 'stripe:list_customers,stripe:refund', '--timeout', '15m'],
      ...['--mount', `${inProject('examples', 'demo-agent')}:/work`, ...nodeInside().mount],
      ...['--', nodeInside().program, '/work/agent.mjs'],
    ],
    // Its own process group: Ctrl-C in the terminal asks us to end it, and it shall be asked once.
    { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 125)));
  const errors: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(harmlessLine(line)));
  let opened = false;
  const waits = new Promise<void>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const clean = harmlessLine(line);
      if (opened) return later(clean);
      lines.push(clean);
      if (clean.startsWith('asks to refund')) resolve();
    });
  });
  const timer = setTimeout(() => child.kill('SIGTERM'), PATIENCE_MS);
  const code = await Promise.race([waits.then(() => null), ended]);
  clearTimeout(timer);
  opened = true;
  if (code === 125 || (code !== null && lines.length === 0)) {
    for (const line of errors) say(line.replace(/^keywarden: /, ''));
    return null;
  }
  return {
    lines,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The sandbox shows the host's /usr; a Node from elsewhere is mounted. */
function nodeInside(): { program: string; mount: string[] } {
  if (process.execPath.startsWith('/usr/')) return { program: process.execPath, mount: [] };
  return { program: '/opt/node/node', mount: ['--mount', `${dirname(process.execPath)}:/opt/node`] };
}
