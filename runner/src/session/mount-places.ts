import { usage } from '../failure.ts';
import { parseCredentialPaths } from '../helper/credential-list.ts';
import { deniedClassOf } from '../helper/credential-match.ts';
import type { Mount } from '../sandbox/backend.ts';

/**
 * What is mounted where credentials lie the sandbox would deny, and count as an attempt at them: --mount-anyway makes none of
 * it readable.
 *
 * @param list  Text of `runner/helper/credential-paths.txt`, or null.
 * @param home  The agent's, inside.
 */
export function checkPlaces(mounts: readonly Mount[], list: string | null, home: string): void {
  const denied = list === null ? [] : parseCredentialPaths(list);
  for (const { destination } of mounts) {
    const why = deniedClassOf(destination, denied, home);
    if (why === null) continue;
    throw usage(`--mount …:${destination}: the sandbox denies opens there, as of a place for credentials (${why})`, [
      'mount it elsewhere, as on /work, and tell the program where',
      'a secret that the agent shall have: --secret NAME=file:PATH',
    ]);
  }
}
