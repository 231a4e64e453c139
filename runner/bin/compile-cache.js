// Where Node may keep compiled code. Whoever can write there runs code as us, and Node itself does not look.
const { lstatSync, mkdirSync } = process.getBuiltinModule('node:fs');
const { fileURLToPath } = process.getBuiltinModule('node:url');

/**
 * A folder directly in the package: whoever can put another one in its place can do so with the code itself. Never in a home or
 * in /tmp, which may be anybody's.
 *
 * @returns null when it is not ours alone, or cannot be made: then there is no cache.
 */
export function compileCache(folder = fileURLToPath(new URL('../.compiled', import.meta.url))) {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (error.code !== 'EEXIST') return null;
  }
  const stat = lstatSync(folder);
  const oursAlone = stat.isDirectory() && stat.uid === process.geteuid() && (stat.mode & 0o077) === 0;
  return oursAlone ? folder : null;
}
