/**
 * Bundles the command line into runner/dist: a start then reads a dozen files in the place of 200, and strips no types.
 * `runner/bin/bundle.js` takes the bundle only while it is of these very sources, so that it never has to be made.
 *
 * Plain JS: npm runs it as it installs, with whichever Node there is.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundledMain, RECORD, stampOf } from '../runner/bin/bundle.js';

const RUNNER = fileURLToPath(new URL('../runner/', import.meta.url));
const DIST = dirname(RECORD);
/** A process that runs may still load a part of an older bundle. */
const KEPT_MS = 7 * 86_400_000;
/** The times of files are as coarse as this: one that was changed as esbuild read it must not pass for what was read. */
const CLOCK_TICK_MS = 10;

async function bundle() {
  if (bundledMain() !== null) return;
  const begun = Date.now();
  const { build } = await import('esbuild');
  const { dependencies } = JSON.parse(readFileSync(join(RUNNER, 'package.json'), 'utf8'));
  const { outputFiles, metafile } = await build({
    absWorkingDir: RUNNER,
    entryPoints: ['src/cli/main.ts'],
    outdir: DIST,
    entryNames: '[name]-[hash]',
    bundle: true,
    // What a command needs alone stays a file of its own.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    tsconfigRaw: {},
    external: Object.keys(dependencies).filter((name) => name !== 'commander'),
    plugins: [englishOnly],
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    write: false,
    logLevel: 'silent',
  });
  const paths = sourcesIn(metafile);
  const sources = Object.fromEntries(paths.map((path) => [path, stampOf(path)]));
  const ours = paths.filter((path) => !path.includes('node_modules/'));
  const changed = ours.find((path) => statSync(join(RUNNER, path)).ctimeMs > begun - CLOCK_TICK_MS);
  if (changed !== undefined) throw new Error(`${changed} was changed just now`);
  mkdirSync(DIST, { recursive: true });
  // Their names tell their content: what is there already is the same.
  for (const { path, text } of outputFiles) if (!existsSync(path)) put(path, withCheapBuiltins(text));
  const main = outputFiles.find(({ path }) => /main-\w+\.js$/.test(path));
  put(RECORD, JSON.stringify({ main: basename(main.path), sources }));
  sweep(new Set([RECORD, ...outputFiles.map(({ path }) => path)]));
  forgetCompiled();
}

/** zod brings its words in 60 languages, and `z.locales` keeps them all. */
const englishOnly = {
  name: 'english-only',
  setup(build) {
    const contents = "export { default as en } from './en.js';";
    build.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents }));
  },
};

/** See bin/start.js: an import of a builtin reads all of its exports. Line by line, as source maps want it. */
function withCheapBuiltins(text) {
  return text
    .replace(
      /^import (?:\* as )?(\w+|\{[^}]*\}) from "(node:[\w/]+)";$/gm,
      (_, names, builtin) => `const ${names.replaceAll(' as ', ': ')} = process.getBuiltinModule("${builtin}");`,
    )
    .replace(/\b__require\("([\w:/]+)"\)/g, 'process.getBuiltinModule("$1")');
}

/** Of what npm installed its package.json tells enough. */
function sourcesIn({ inputs }) {
  const files = Object.keys(inputs).map((path) => {
    const installed = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path);
    return installed === null ? path : `${installed[0]}/package.json`;
  });
  return [...new Set(['package.json', '../scripts/runner.js', ...files])].sort();
}

/** Nobody ever reads half of a file. */
function put(path, text) {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, text);
  renameSync(draft, path);
}

function sweep(kept) {
  for (const name of readdirSync(DIST)) {
    const path = join(DIST, name);
    if (!kept.has(path) && Date.now() - statSync(path).mtimeMs > KEPT_MS) rmSync(path, { force: true });
  }
}

/** What Node has compiled of older bundles. */
function forgetCompiled() {
  try {
    rmSync(join(RUNNER, '.compiled'), { recursive: true, force: true });
  } catch {
    // Of another user, root say, who started it here.
  }
}

await bundle().catch((error) => {
  console.error(`the command line is not bundled, and starts from its sources: ${error.message}`);
  process.exitCode = 1;
});
