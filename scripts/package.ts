import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { bundleWorker } from '../runner/src/edge/worker-bundle.ts';
import { inPackage, inProject } from '../runner/src/project.ts';

/**
 * Before `npm pack` in runner/: what the package has in the place of the sources, which Node would not run below node_modules/.
 *
 *   dist/  the command line, bundled
 *   edge/  what `keywarden dev` needs of the project: the Worker, its settings, migrations, policies and console
 */

/** What is bundled into them is not installed beside them, so that its licences come along. */
const BUNDLED = ['commander', 'preact', '@preact/signals', '@preact/signals-core', 'uplot'];

const edge = inPackage('edge');
for (const folder of [inPackage('dist'), edge]) rmSync(folder, { recursive: true, force: true });
run('scripts/runner.js');
run('scripts/console.ts');
mkdirSync(edge);
writeFileSync(join(edge, 'worker.js'), await bundleWorker(null));
for (const path of ['wrangler.toml', 'migrations', 'policies', 'console/dist']) {
  cpSync(inProject(path), join(edge, path), { recursive: true, filter: (from) => !from.endsWith('migrations/meta') });
}
copyFileSync(inProject('LICENSE'), inPackage('LICENSE'));
writeFileSync(inPackage('dist/LICENSES.txt'), licences().join('\n'));

function run(script: string): void {
  const { status } = spawnSync(process.execPath, [inProject(script)], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`${script} failed`);
}

function licences(): string[] {
  const { dependencies } = JSON.parse(readFileSync(inProject('package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return [...Object.keys(dependencies), ...BUNDLED].map((name) => {
    const folder = folderOf(name);
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
      string,
      string
    >;
    const file = readdirSync(folder).find((one) => /^licen[cs]e(\.|$)/i.test(one));
    return `${name} ${version}: ${license}\n\n${file === undefined ? '' : readFileSync(join(folder, file), 'utf8')}`;
  });
}

/** By hand: not all of them let their package.json be resolved. */
function folderOf(name: string): string {
  const paths = createRequire(inPackage('package.json')).resolve.paths(name) ?? [];
  const found = paths.map((path) => join(path, name)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is not installed`);
  return found;
}
