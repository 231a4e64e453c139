import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { engineAt } from '../runner/src/sandbox/docker/engine.ts';

/**
 * A Docker daemon of one's own, for tests and CI: own data, own socket, no bridge, nothing of the host's daemon touched.
 *
 *   node scripts/dockerd.ts start DIR    prints the socket's path when it serves; again after a crash: takes up the same data
 *   node scripts/dockerd.ts stop DIR     ends it and removes DIR
 */
const [verb, folder] = process.argv.slice(2);
if ((verb !== 'start' && verb !== 'stop') || folder === undefined) {
  process.stderr.write('usage: node scripts/dockerd.ts start|stop DIR\n');
  process.exit(2);
}
const directory = resolve(folder);
const socket = join(directory, 'docker.sock');
const pidFile = join(directory, 'dockerd.pid');
const logFile = join(directory, 'dockerd.log');
if (verb === 'start') await start();
else await stop();

async function start(): Promise<void> {
  const packages = [join(import.meta.dirname, 'system-packages.ts'), 'docker.io'];
  if (spawnSync(process.execPath, packages, { stdio: ['ignore', 2, 2] }).status !== 0) process.exit(1);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const before = pidIn(pidFile);
  if (before !== null && isOurs(before)) {
    process.stdout.write(`${socket}\n`);
    process.exit(0);
  }
  // A zombie, or somebody else of that number, is taken for the living daemon.
  for (const file of [pidFile, join(directory, 'exec', 'containerd', 'containerd.pid')]) {
    const pid = pidIn(file);
    if (pid === null || !isOurs(pid)) rmSync(file, { force: true });
  }
  for (const driver of drivers()) {
    if (await serves(driver)) {
      process.stdout.write(`${socket}\n`);
      process.exit(0);
    }
  }
  process.stderr.write(
    `dockerd does not serve; ${logFile} ends with:\n${readFileSync(logFile, 'utf8').slice(-2000)}\n`,
  );
  process.exit(1);
}

/** On a root that is itself an overlay, overlay2 cannot be: vfs copies, and works everywhere. Data stay with their driver. */
function drivers(): string[] {
  const all = ['overlay2', 'vfs'];
  const used = all.filter((driver) => existsSync(join(directory, 'data', 'image', driver)));
  return used.length > 0 ? used : all;
}

async function serves(driver: string): Promise<boolean> {
  const log = openSync(logFile, 'a');
  const daemon = spawn(
    'dockerd',
    [
      ...['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec'), '--pidfile', pidFile],
      ...['--host', `unix://${socket}`, '--bridge=none', '--iptables=false', '--ip6tables=false'],
      ...['--storage-driver', driver],
    ],
    { stdio: ['ignore', log, log], detached: true },
  );
  daemon.unref();
  const engine = engineAt(socket);
  for (const until = performance.now() + 60_000; performance.now() < until; await sleep(50)) {
    if (daemon.exitCode !== null || daemon.signalCode !== null) return false;
    // An old daemon's socket may answer for a last time.
    const answered = await engine.ping().then(
      () => pidIn(pidFile) === daemon.pid,
      () => false,
    );
    if (answered) return true;
  }
  daemon.kill('SIGKILL');
  return false;
}

/** By the pid in its own folder, and only while that is a dockerd of this folder: the number may be another's by now. */
async function stop(): Promise<void> {
  const pid = pidIn(pidFile);
  if (pid !== null && isOurs(pid)) process.kill(pid, 'SIGTERM');
  for (const until = performance.now() + 30_000; pid !== null && isOurs(pid); await sleep(50)) {
    if (performance.now() < until) continue;
    process.stderr.write(`dockerd (${pid}) does not end: see ${logFile}\n`);
    process.exit(1);
  }
  // What a daemon that was killed left mounted, innermost first.
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((at) => at.startsWith(`${directory}/`));
  for (const at of mounts.reverse()) spawnSync('umount', ['-l', at]);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

function pidIn(file: string): number | null {
  try {
    return Number(readFileSync(file, 'utf8')) || null;
  } catch {
    return null;
  }
}

function isOurs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${directory}/`);
  } catch {
    return false;
  }
}
