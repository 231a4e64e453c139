// Is there a bundle of the command line, and is it of these very sources?
const { readFileSync, statSync } = process.getBuiltinModule('node:fs');
const { fileURLToPath } = process.getBuiltinModule('node:url');

const PACKAGE = fileURLToPath(new URL('../', import.meta.url));

/** `main` is a file in dist/; `sources` are all that it was made of, by their path from the package, with their stamp. */
export const RECORD = `${PACKAGE}dist/built.json`;

/**
 * Size and times of a file. Nobody can set the time of its last change, so that even what keeps the other time (a copy, an
 * archive that is unpacked) is seen. Of what npm installed only the other one: it writes new files in any case, and a hard link
 * to one of them from another checkout is a change, too.
 */
export function stampOf(path) {
  // Not by path.join: for 200 files that takes longer than to look at them.
  const stat = statSync(PACKAGE + path, { throwIfNoEntry: false });
  if (stat === undefined) return 'none';
  return `${stat.size} ${stat.mtimeMs}${path.includes('node_modules/') ? '' : ` ${stat.ctimeMs}`}`;
}

/** @returns null when the sources are to be loaded: there is no bundle, or one of its sources has changed. */
export function bundledMain() {
  try {
    const { main, sources } = JSON.parse(readFileSync(RECORD, 'utf8'));
    // A published package has the bundle alone.
    const published = statSync(`${PACKAGE}src/cli/main.ts`, { throwIfNoEntry: false }) === undefined;
    const ours = published || Object.entries(sources).every(([path, stamp]) => stampOf(path) === stamp);
    return ours ? `../dist/${main}` : null;
  } catch {
    return null;
  }
}
