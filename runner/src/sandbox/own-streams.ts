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
