/**
 * What does the docker backend add to Docker?
 *
 *   node bench/sandbox-docker.ts [--rounds 15]
 *
 * The backend around `true`, from create to removed, against plain `docker run --rm` with the same flags, image and mounts, in
 * turns on one daemon of the bench's own. Needs root, `docker.io` and what `scripts/sandbox-image.ts` needs.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type Docker from 'dockerode';
import { dockerBackend } from '../runner/src/sandbox/docker/backend.ts';
import { median, openPlace, row, TABLE_HEAD } from './in-sandbox.ts';
import { machineText } from './report.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } });
const script = (name: string): string => fileURLToPath(new URL(`../scripts/${name}`, import.meta.url));
const parent = mkdtempSync(join(tmpdir(), 'keywarden-dockerd-'));
const daemon = join(parent, 'd');
const run = (name: string, ...args: string[]): string =>
  execFileSync(process.execPath, [script(name), ...args], { encoding: 'utf8' }).trim();
const socket = run('dockerd.ts', 'start', daemon);
process.env['DOCKER_HOST'] = `unix://${socket}`;
run('sandbox-image.ts');
const backend = dockerBackend(socket);
const { directory, specOf, inside, close } = openPlace(backend);
try {
  const spec = specOf(['true'], new PassThrough());
  const planned = (await backend.plan(spec)).find(({ does }) => does.startsWith('POST'));
  const flags = flagsOf(planned?.request as Docker.ContainerCreateOptions, spec.folder);
  const ours: number[] = [];
  const plain: number[] = [];
  await inside(['true']);
  for (let round = 0; round < Number(values.rounds); round++) {
    let begun = performance.now();
    await inside(['true']);
    ours.push(performance.now() - begun);
    begun = performance.now();
    const ran = spawnSync('docker', ['run', '--rm', ...flags], { encoding: 'utf8' });
    plain.push(performance.now() - begun);
    if (ran.status !== 0) throw new Error(`plain docker run: ${ran.stderr}`);
  }
  console.log(`${machineText()}\n\n${TABLE_HEAD}`);
  if (!row('`true`, against plain `docker run --rm` with the same flags', median(ours), median(plain), 1.2))
    process.exitCode = 1;
} finally {
  close();
  run('dockerd.ts', 'stop', daemon);
  rmSync(parent, { recursive: true });
}

/** The request as flags of the command line; mounts of the session's own folder are not there for a plan, nor is our PID 1. */
function flagsOf({ Image, User, HostConfig }: Docker.ContainerCreateOptions, own: string): string[] {
  const host = HostConfig as Docker.HostConfig;
  const seccomp = join(directory, 'seccomp.json');
  const profile = (host.SecurityOpt as readonly string[] | undefined)?.find((one) => one.startsWith('seccomp=')) ?? '';
  writeFileSync(seccomp, profile.slice('seccomp='.length));
  const mounts = (host.Mounts ?? []).filter(
    ({ Source }) => !Source.startsWith(own) && !Source.startsWith(directory) && !Source.includes('helper'),
  );
  return [
    ...['--network', 'none', '--ipc', 'private', '--cgroupns', 'private', '--read-only', '--cap-drop', 'ALL'],
    ...['--security-opt', 'no-new-privileges', '--security-opt', `seccomp=${seccomp}`, '--log-driver', 'none'],
    ...['--user', User ?? '', '--pids-limit', String(host.PidsLimit), '--shm-size', String(host.ShmSize)],
    ...['--memory', String(host.Memory), '--memory-swap', String(host.MemorySwap)],
    ...['--cpus', String((host.NanoCpus ?? 0) / 1e9)],
    ...Object.entries(host.Tmpfs ?? {}).flatMap(([path, options]) => ['--tmpfs', `${path}:${options}`]),
    ...(host.Ulimits ?? []).flatMap(({ Name, Soft, Hard }) => ['--ulimit', `${Name}=${Soft}:${Hard}`]),
    ...mounts.flatMap(({ Source, Target }) => ['--mount', `type=bind,source=${Source},target=${Target},readonly`]),
    ...[Image ?? '', 'true'],
  ];
}
