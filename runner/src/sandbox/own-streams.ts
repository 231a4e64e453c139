import { fstatSync } from 'node:fs';
import { usage } from '../failure.ts';

/**
 * What we are lent the agent is lent: from a folder it would come to the names and modes of the host's files, its owner's to
 * change. Landlock has no say in chmod(2).
 */
export function refuseFolders(): void {
  for (const [fd, name] of ['input', 'output', 'error output'].entries())
    if (isFolder(fd)) throw usage(`the standard ${name} is a folder`, 'a folder that the agent shall see: --mount');
}

function isFolder(fd: number): boolean {
  try {
    return fstatSync(fd).isDirectory();
  } catch {
    return false;
  }
}

/**
 * A child that is given our own output has it wait for its reader: libuv clears O_NONBLOCK for it, and that is one for both of
 * us. Right for the child; but after its end our own next word to a reader who takes nothing would stop this process for ever,
 * its clock and all. So whoever lent them says here that they are ours again.
 */
export function ownStreamsAgain(): void {
  for (const stream of [process.stdout, process.stderr] as readonly Lendable[])
    if (!stream.isTTY) stream._handle?.setBlocking?.(false);
}

/** Node's own name for it, without which there would have to be an addon. */
interface Lendable {
  readonly isTTY?: boolean;
  readonly _handle?: { readonly setBlocking?: (waits: boolean) => void } | null;
}
