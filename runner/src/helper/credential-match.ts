import type { CredentialPath } from './credential-list.ts';

/**
 * The class as which the sandbox denies opening `path`, or null: what `match` in judge.c says of it.
 *
 * @param path  Absolute and normalised, as it is inside.
 * @param home  The agent's home, inside.
 */
export function deniedClassOf(path: string, paths: readonly CredentialPath[], home: string): string | null {
  const subjects = { '~/': belowHome(path, home), '/': path, '**/': path.slice(path.lastIndexOf('/') + 1) };
  const matching = paths.filter(({ where, text, folder }) => {
    const subject = subjects[where];
    return subject !== null && (globOf(text).test(subject) || (folder && globOf(text, '/.*').test(subject)));
  });
  if (matching.some(({ except }) => except)) return null;
  return matching.find(({ observed }) => !observed)?.pathClass ?? null;
}

function belowHome(path: string, home: string): string | null {
  if (path.startsWith(`${home}/`)) return path.slice(home.length + 1);
  return /^\/(?:root|home\/[^/]*)\/(.*)$/s.exec(path)?.[1] ?? null;
}

/** fnmatch(3) with FNM_PATHNAME, for the signs that the list has: no `*` takes a slash. */
function globOf(text: string, rest = ''): RegExp {
  const pattern = text.replace(/\[!?[^\]]+\]|[\\^$.|?*+(){}[\]]/g, (sign) => {
    if (sign === '*') return '[^/]*';
    if (sign === '?') return '[^/]';
    return sign.length > 1 ? sign.replace('[!', '[^') : `\\${sign}`;
  });
  return new RegExp(`^${pattern}${rest}$`, 's');
}
