import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { engineAt } from '../runner/src/sandbox/docker/engine.ts';

/**
 * A Docker daemon of one's own, for tests: own data, own socket, no bridge, nothing of the host's daemon touched.
 *
 *   node scripts/dockerd.ts start DIR    prints the socket's path when it serves
 *   node scripts/dockerd.ts stop DIR
 */
const [verb, folder] = process.argv.slice(2);
if ((verb !== 'start' && verb !== 'stop') || folder === undefined) {
  process.stderr.write('usage: node scripts/dockerd.ts start|stop DIR\n');
  process.exit(2);
}
const directory = resolve(folder);
const pidFile = join(directory, 'dockerd.pid');
if (verb === 'start') await start();
else await stop();

async function start(): Promise<void> {
  spawnSync(process.execPath, [join(import.meta.dirname, 'system-packages.ts'), 'docker.io'], { stdio: 'inherit' });
  mkdirSync(directory, { recursive: true });
  const socket = join(directory, 'docker.sock');
  const log = openSync(join(directory, 'dockerd.log'), 'a');
  const daemon = spawn(
    'dockerd',
    [
      ...['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec'), '--pidfile', pidFile],
      ...['--host', `unix://${socket}`, '--bridge=none', '--iptables=false', '--ip6tables=false'],
    ],
    { stdio: ['ignore', log, log], detached: true },
  );
  daemon.unref();
  for (const until = performance.now() + 60_000; performance.now() < until; await sleep(100)) {
    if (daemon.exitCode !== null) break;
    if (
      await engineAt(socket)
        .ping()
        .then(
          () => true,
          () => false,
        )
    ) {
      process.stdout.write(`${socket}\n`);
      process.exit(0);
    }
  }
  process.stderr.write(`dockerd does not serve: see ${join(directory, 'dockerd.log')}\n`);
  process.exit(1);
}

async function stop(): Promise<void> {
  const pid = Number(readFileSync(pidFile, 'utf8'));
  process.kill(pid, 'SIGTERM');
  for (const until = performance.now() + 30_000; performance.now() < until; await sleep(100)) {
    try {
      process.kill(pid, 0);
    } catch {
      rmSync(directory, { recursive: true, force: true });
      return;
    }
  }
  throw new Error(`dockerd (${pid}) does not end`);
}
