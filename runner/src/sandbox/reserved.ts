import { Failure } from '../failure.ts';
import type { Mount } from './backend.ts';

/** What a mount may neither replace nor hold: the walls stand on these. */
export const RESERVED = ['/proc', '/dev', '/run', '/etc', '/usr', '/bin', '/sbin', '/lib', '/lib64', '/sys'];

/**
 * The backends' own wall, whoever calls them: `checkMount` has said it before, in the words of the option.
 *
 * @throws Failure that names the place.
 */
export function refuseReserved(mounts: readonly Mount[]): void {
  const reserved = mounts.find(({ destination }) => isReserved(destination));
  if (reserved === undefined) return;
  throw new Failure(`nothing can be mounted at ${reserved.destination}`, 'the sandbox itself stands there');
}

function isReserved(path: string): boolean {
  if (!path.startsWith('/') || path === '/' || path.includes('\0') || /(^|\/)\.\.?(\/|$)/.test(path)) return true;
  return RESERVED.some((reserved) => path === reserved || path.startsWith(`${reserved}/`));
}
