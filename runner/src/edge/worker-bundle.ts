import { build, type Plugin } from 'esbuild';
import { Failure } from '../failure.ts';
import { inProject, WORKER } from '../project.ts';

/**
 * Bundles the Worker as wrangler does, with other policies in the place of those that were compiled at build time.
 *
 * @param policies  the compiled policies as JSON: takes the place of `bundle.generated.json`; null: that stays an import.
 * @param entry     the Worker's entry file.
 * @returns one ES module.
 */
export async function bundleWorker(policies: string | null, entry: string = WORKER): Promise<string> {
  const swap: Plugin = {
    name: 'policies',
    setup(esbuild) {
      esbuild.onResolve({ filter: /bundle\.generated\.json$/ }, ({ path }) =>
        policies === null ? { path, external: true } : { path: 'policies', namespace: 'keywarden' },
      );
      esbuild.onLoad({ filter: /./, namespace: 'keywarden' }, () => ({ contents: policies ?? '', loader: 'json' }));
    },
  };
  try {
    const result = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: 'esm',
      target: 'es2024',
      platform: 'neutral',
      mainFields: ['module', 'main'],
      conditions: ['workerd', 'worker', 'browser'],
      external: ['cloudflare:*', 'node:*'],
      define: { 'process.env.NODE_ENV': '"production"' },
      keepNames: false,
      absWorkingDir: inProject(),
      plugins: [swap],
      logLevel: 'silent',
    });
    const file = result.outputFiles[0];
    if (file === undefined) throw new Error('esbuild wrote nothing');
    return file.text;
  } catch (error) {
    throw new Failure(
      `cannot bundle the Worker: ${(error as Error).message}`,
      'npm install, or a change in src/ does not compile',
    );
  }
}
