// Started by a Node that is too old, and not by `keywarden` beside us: has that one find a better Node, and stands in for it.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { complainOfNode } from './complain-of-node.js';

const AGAIN = 'KEYWARDEN_REEXECUTED';

if (process.env[AGAIN]) complainOfNode();
else handOver(fileURLToPath(new URL('keywarden', import.meta.url)));

function handOver(launcher) {
  const child = spawn(launcher, process.argv.slice(2), {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: Object.assign({}, process.env, { [AGAIN]: '1' }),
  });
  // A terminal sends Ctrl-C to both of us; the child decides what it means, we only pass on what was sent to us alone.
  const passed = ['SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGQUIT', 'SIGINT'];
  for (const signal of passed) process.on(signal, () => child.kill(signal));
  // As src/cli/end-with-npm.ts says: npm's end does not reach us by itself.
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event) {
    setInterval(() => process.ppid === parent || child.kill('SIGTERM'), 250).unref();
  }
  child.on('error', (error) => {
    process.stderr.write(`keywarden: error: cannot start ${launcher}: ${error.message}\n`);
    process.exitCode = 125;
  });
  child.on('exit', (code, signal) => {
    for (const name of passed) process.removeAllListeners(name);
    process.exitCode = code === null ? 128 + ((signal && constants.signals[signal]) || 0) : code;
  });
}
