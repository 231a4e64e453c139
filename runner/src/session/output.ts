import type { Transform } from 'node:stream';
import { finished } from 'node:stream/promises';
import { isatty } from 'node:tty';
import type { Streams } from '../sandbox/backend.ts';
import { rawTerminal } from '../sandbox/raw-terminal.ts';
import { textOf } from '../state/text-of.ts';
import type { Masker } from './mask.ts';

export interface Output {
  readonly streams: (token: string | null) => Streams;
  /** When the agent has ended: what the masker still holds goes out, to whom it may concern within this time. */
  finish(patienceMs: number): Promise<void>;
}

/**
 * The agent's streams: the runner's own, untouched; or, when secrets are masked, through the masker. A terminal of ours is never
 * the agent's, who would read what is typed there for others: it has one of its own, or pipes.
 */
export function outputOf(masker: ((token: string | null) => Masker) | null, tty: boolean): Output {
  const lent = masker === null && (tty || ![0, 1, 2].some((fd) => isatty(fd)));
  if (lent) return { streams: () => ({ kind: 'inherit' }), finish: async () => {} };
  const open: Transform[] = [];
  let restore = (): void => {};
  return {
    streams(token) {
      const stdin = tty || !inBackground() ? 'own' : null;
      if (masker === null) return { kind: 'piped', stdin, stdout: process.stdout, stderr: process.stderr };
      const made = masker(token);
      const [stdout, stderr] = [made.stream(process.stdout), made.stream(process.stderr)];
      open.push(stdout, stderr);
      // Bytes go through us, so that raw mode is ours to set; the helper's own terminal is inside.
      if (tty) restore = rawTerminal();
      return { kind: 'piped', stdin, stdout, stderr };
    },
    async finish(patienceMs) {
      restore();
      for (const stream of open) {
        if (!stream.writableEnded) stream.end();
        await Promise.race([
          finished(stream).catch(() => {}),
          new Promise<void>((resolve) => setTimeout(resolve, patienceMs)),
        ]);
      }
    },
  };
}

/** What is typed there is another's, and whoever reads it all the same is stopped (SIGTTIN). */
function inBackground(): boolean {
  const [, , group, , , foreground] = textOf('/proc/self/stat').split(') ').at(-1)?.split(' ') ?? [];
  // -1: our terminal, if any, is not the one that controls us.
  return isatty(0) && foreground !== group && foreground !== '-1';
}
