import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkout } from './checkout.ts';
import { dev, keywarden, ROOT, scratch } from './command-line.ts';

/** `npm pack` in runner/, unpacked where there is no project around it; its dependencies are those of this one. */
const place = scratch();
const home = join(place.path, 'node_modules/keywarden');
const bin = join(home, 'bin/keywarden.js');
const here = { bin, cwd: place.path };

beforeAll(() => {
  const project = checkout('scripts', 'console', 'policies', 'migrations', 'wrangler.toml', 'tsconfig.json', 'LICENSE');
  try {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', place.path], { cwd: project.at('runner') });
  } finally {
    project.remove();
  }
  const [packed = ''] = readdirSync(place.path).filter((name) => name.endsWith('.tgz'));
  mkdirSync(home, { recursive: true });
  execFileSync('tar', ['-xzf', join(place.path, packed), '-C', home, '--strip-components=1']);
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const to = join(place.path, 'node_modules', name);
    const from = [join(ROOT, 'runner/node_modules', name), join(ROOT, 'node_modules', name)].find(existsSync);
    if (from === undefined) continue;
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(from, to);
  }
}, 120_000);
afterAll(() => place.remove());

describe('the package, installed somewhere', () => {
  it('holds no TypeScript, which Node would not run there, and nothing that was built for this machine', () => {
    const files = readdirSync(home, { recursive: true, encoding: 'utf8' });
    expect(files.filter((name) => /\.ts$|helper\/build|\.compiled|\.env|\.dev\.vars/.test(name))).toEqual([]);
    expect(files).toEqual(
      expect.arrayContaining(['LICENSE', 'dist/LICENSES.txt', 'dist/built.json', 'edge/worker.js']),
    );
  });

  it('starts by its launcher with the Node beside it, whatever is on the PATH', () => {
    const link = join(place.path, 'keywarden');
    symlinkSync(join(home, 'bin/keywarden'), link);
    const ran = spawnSync(link, ['--version'], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } });
    expect(ran).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it('judges policies, its own and others', async () => {
    expect(await keywarden(['policy', 'check'], here)).toMatchObject({ code: 0, stderr: '' });
    expect(await keywarden(['policy', 'test', join(ROOT, 'policies')], here)).toMatchObject({ code: 0, stderr: '' });
  });

  it('serves an edge, and runs an agent in a sandbox beside it', async () => {
    mkdirSync(join(place.path, 'policies'));
    writeFileSync(join(place.path, 'policies/stripe.yaml'), readFileSync(join(ROOT, 'policies/stripe.yaml')));
    place.file('vars', 'STRIPE_KEY=sk_test_nobody\n', 0o600);
    const state = join(place.path, 'state');
    const edge = await dev(['--policies', 'policies', '--vars', 'vars'], state, here);
    try {
      expect((await fetch(`${edge.url}/console/`)).status).toBe(200);
      const command = [
        'run',
        '--state',
        state,
        '--can',
        'stripe:read_balance',
        '--',
        'sh',
        '-c',
        'echo "$KEYWARDEN_URL"',
      ];
      expect(await keywarden(command, here)).toMatchObject({ code: 0, stdout: 'http://127.0.0.1:8787\n' });
      expect(await keywarden(['audit', 'verify', '--state', state], here)).toMatchObject({ code: 0, stderr: '' });
    } finally {
      expect(await edge.stop()).toBe(0);
    }
  });

  it('has its attacks along', async () => {
    const { code, stdout } = await keywarden(['selftest', '--row', 'B1'], here);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('held 1 attack\n') });
  });
});
