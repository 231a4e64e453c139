import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { inProject } from '../runner/src/project.ts';
import { DEFAULT_IMAGE, engineAt, socketOf } from '../runner/src/sandbox/docker/engine.ts';

/**
 * Makes the sandbox's image from Debian packages (runner/image/packages.txt) and gives it to the engine.
 *
 *   node scripts/sandbox-image.ts      DOCKER_HOST=unix://… chooses the engine
 */
const SLIM = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*'].map(
  (path) => `--dpkgopt=path-exclude=${path}`,
);
const packages = readFileSync(inProject('runner', 'image', 'packages.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));
const digest = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 12);
const cache = inProject('.keywarden', 'images');
const tar = join(cache, `sandbox-${digest}.tar`);
if (!existsSync(tar)) {
  run(process.execPath, [join(import.meta.dirname, 'system-packages.ts'), 'mmdebstrap']);
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const include = `--include=${packages.join(',')}`;
  run('mmdebstrap', ['--variant=minbase', '--format=tar', include, ...SLIM, suite(), `${tar}.new`, ...sources()]);
  renameSync(`${tar}.new`, tar);
}
const engine = engineAt(socketOf());
const [repo, tag] = DEFAULT_IMAGE.split(':') as [string, string];
const stream = await engine.importImage(createReadStream(tar) as never, { repo, tag } as never);
await new Promise((resolve, reject) =>
  engine.modem.followProgress(stream as unknown as NodeJS.ReadableStream, (error) =>
    error ? reject(error) : resolve(null),
  ),
);
process.stdout.write(`${DEFAULT_IMAGE} (${packages.join(', ')})\n`);

/** From where the host itself takes its packages: a mirror, perhaps. */
function sources(): string[] {
  return ['/etc/apt/sources.list', '/etc/apt/sources.list.d/debian.sources'].filter(
    (file) => existsSync(file) && readFileSync(file, 'utf8').includes('deb'),
  );
}

function suite(): string {
  return /^VERSION_CODENAME=(\S+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'stable';
}

function run(program: string, args: readonly string[]): void {
  const ran = spawnSync(program, args, { stdio: ['ignore', 2, 2] });
  if (ran.status !== 0) {
    process.stderr.write(`sandbox-image: ${program} failed\n`);
    process.exit(1);
  }
}
