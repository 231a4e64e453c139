import type { Transform } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Streams } from '../sandbox/backend.ts';
import { rawTerminal } from '../sandbox/raw-terminal.ts';
import type { Masker } from './mask.ts';

export interface Output {
  readonly streams: (token: string | null) => Streams;
  /** When the agent has ended: what the masker still holds goes out, to whom it may concern within this time. */
  finish(patienceMs: number): Promise<void>;
}

/** The agent's streams: the runner's own, untouched; or, when secrets are masked, through the masker. */
export function outputOf(masker: ((token: string | null) => Masker) | null, tty: boolean): Output {
  if (masker === null) return { streams: () => ({ kind: 'inherit' }), finish: async () => {} };
  const open: Transform[] = [];
  let restore = (): void => {};
  return {
    streams(token) {
      const made = masker(token);
      const [stdout, stderr] = [made.stream(process.stdout), made.stream(process.stderr)];
      open.push(stdout, stderr);
      // Bytes go through us, so that raw mode is ours to set; the helper's own terminal is inside.
      if (tty) restore = rawTerminal();
      return { kind: 'piped', stdin: process.stdin, stdout, stderr };
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
