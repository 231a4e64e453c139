import { spawnSync } from 'node:child_process';
import { createReadStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { inProject } from '../runner/src/project.ts';
import { engineAt, socketOf } from '../runner/src/sandbox/docker/engine.ts';
import { defaultImage, IMAGE_LABEL, IMAGE_REPOSITORY, imageRecipe } from '../runner/src/sandbox/docker/image.ts';

/**
 * Makes the sandbox's image from Debian packages (runner/image/packages.txt) and gives it to the engine, once: its tag is the
 * digest of the list. The archive is kept in .keywarden/images, for the next engine.
 *
 *   node scripts/sandbox-image.ts [--fresh]      DOCKER_HOST=unix://… chooses the engine; --fresh takes today's packages
 */
const SLIM = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/info/*', '/usr/share/locale/*'].map(
  (path) => `--dpkgopt=path-exclude=${path}`,
);
const fresh = process.argv.includes('--fresh');
const { packages, digest } = imageRecipe();
const engine = engineAt(socketOf(), 0);
try {
  if (fresh || !(await isThere())) await importImage(archive());
  process.stdout.write(`${defaultImage()} (${packages.join(', ')})\n`);
} catch (error) {
  process.stderr.write(`sandbox-image: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function isThere(): Promise<boolean> {
  return engine
    .getImage(defaultImage())
    .inspect()
    .then(
      (image) => image.Config.Labels?.[IMAGE_LABEL] === digest,
      (error: { statusCode?: number }) => {
        if (error.statusCode === 404) return false;
        throw error;
      },
    );
}

function archive(): string {
  const cache = inProject('.keywarden', 'images');
  const tar = join(cache, `sandbox-${digest}.tar`);
  if (existsSync(tar) && !fresh) return tar;
  // Who is not root makes it in a user namespace, with ids of /etc/subuid that newuidmap gives out.
  const tools = process.getuid?.() === 0 ? ['mmdebstrap'] : ['mmdebstrap', 'uidmap'];
  run(process.execPath, [join(import.meta.dirname, 'system-packages.ts'), ...tools]);
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  // Two may make it at once: each its own file, and the last one takes the place.
  const growing = `${tar}.${process.pid}`;
  try {
    const include = `--include=${packages.join(',')}`;
    run('mmdebstrap', ['--variant=minbase', '--format=tar', include, ...SLIM, suite(), growing, ...sources()]);
    renameSync(growing, tar);
  } finally {
    rmSync(growing, { force: true });
  }
  return tar;
}

async function importImage(tar: string): Promise<void> {
  // dockerode's types know neither the stream nor `changes` (Engine API, ImageCreate).
  const changes = [
    `LABEL ${IMAGE_LABEL}=${digest}`,
    'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  ];
  const options = { repo: IMAGE_REPOSITORY, tag: digest, changes };
  const stream = (await engine.importImage(createReadStream(tar) as never, options as never)) as unknown;
  await new Promise<void>((resolve, reject) =>
    engine.modem.followProgress(stream as NodeJS.ReadableStream, (error, lines) => {
      const failed = (lines as { error?: string }[] | undefined)?.find((line) => line.error !== undefined);
      if (error ?? failed) reject(error ?? new Error(failed?.error));
      else resolve();
    }),
  );
  // Podman (4.3, tried) takes the repository and leaves out the tag.
  if (!(await isThere()))
    await engine.getImage(`${IMAGE_REPOSITORY}:latest`).tag({ repo: IMAGE_REPOSITORY, tag: digest });
}

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
  if (ran.status === 0) return;
  throw new Error(`${[basename(program), ...args].join(' ')}: ${ran.error?.message ?? `exit code ${ran.status}`}`);
}
