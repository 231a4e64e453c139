import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';

/**
 * Installs the Debian packages that tests need, when root on Debian and they are missing, saying so.
 * Elsewhere prints the exact command and exits 1, or 0 with `--optional`.
 *
 *   node scripts/system-packages.ts [--optional] [PACKAGE…]
 */

/**
 * What the tests run beside the edge: git and curl as clients, Swift as an S3 that verifies signatures, nginx to compare
 * with; the sandboxes' own tools and a compiler for the helper; a browser for the console.
 */
const NEEDED = [
  'git',
  'curl',
  'nginx',
  'python3',
  'memcached',
  'swift-proxy',
  'swift-account',
  'swift-container',
  'swift-object',
  'bubblewrap',
  'gcc',
  'libc6-dev',
  'docker.io',
  'podman',
  'mmdebstrap',
  'chromium',
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { optional: { type: 'boolean', default: false } },
});
const bad = positionals.find((name) => !/^[a-z0-9][a-z0-9.+-]+$/.test(name));
if (bad !== undefined) fail(`${bad} is no name of a Debian package`, 2);

const missing = (positionals.length > 0 ? positionals : NEEDED).filter((name) => !isInstalled(name));
if (missing.length > 0) install(missing);

function isInstalled(name: string): boolean {
  const asked = spawnSync('dpkg-query', ['-W', '-f', '${Status}', name], { encoding: 'utf8' });
  return asked.status === 0 && asked.stdout.startsWith('install ok installed');
}

function install(names: readonly string[]): void {
  const command = `apt-get install -y --no-install-recommends ${names.join(' ')}`;
  const debian = existsSync('/etc/debian_version') && spawnSync('apt-get', ['--version']).status === 0;
  if (!debian || process.getuid?.() !== 0) {
    say(`these packages are missing: ${names.join(' ')}`);
    say(debian ? `install them: sudo ${command}` : `on Debian: sudo ${command}; elsewhere install what provides them`);
    process.exit(values.optional ? 0 : 1);
  }
  say(`installing what the tests need: ${names.join(' ')}`);
  // Services must not begin to run just because their package was installed.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = (args: readonly string[]): boolean =>
    spawnSync('apt-get', args, { stdio: ['ignore', 2, 2], env }).status === 0;
  const args = ['install', '-y', '-q', '--no-install-recommends', ...names];
  if (apt(args) || (apt(['update', '-q']) && apt(args))) {
    say('installed');
    return;
  }
  say(`apt-get failed; by hand: ${command}`);
  process.exit(values.optional ? 0 : 1);
}

function say(line: string): void {
  process.stderr.write(`system-packages: ${line}\n`);
}

function fail(message: string, code: number): never {
  say(message);
  process.exit(code);
}
