import { Transform } from 'node:stream';
import { Credential, Scrubber } from '../../../src/offline.ts';
import { Failure } from '../failure.ts';

/** Finds the injected secrets in what the agent prints, in all their spellings, and puts `[redacted]` in their place. */
export interface Masker {
  text(text: string): string;
  /** Masks what is written to it, across the borders of its chunks, on its way to `destination`; ends nothing of it. */
  stream(destination: NodeJS.WritableStream): Transform;
}

/** Shorter pieces stand in too much that is no secret. */
const LEAST_CHARACTERS = 6;

/**
 * Made from the scrubber that the edge cleans answers with: raw, percent, JSON, base64 at all alignments, hex and so on, and
 * mixtures of them. A secret of several lines, or with characters beyond ASCII, is found by its pieces.
 *
 * @param secrets  Name → value.
 * @throws Failure when one is too short to be told from ordinary text.
 */
export function maskerOf(secrets: ReadonlyMap<string, string>): Masker {
  const pieces: string[] = [];
  for (const [name, value] of secrets) {
    const found = value.split(/[^\x20-\x7e]+/).filter((piece) => piece.trim().length >= LEAST_CHARACTERS);
    if (found.length === 0) {
      throw new Failure(
        `the secret ${name} is too short to be masked in the output`,
        'give --no-mask when it may be shown',
      );
    }
    pieces.push(...found);
  }
  // Longer ones first is not needed: the scrubber finds the leftmost, then longest.
  const scrubber = new Scrubber([...new Set(pieces)].map((piece) => new Credential(piece)));
  return {
    text: (text) => scrubber.text(text).text,
    stream(destination) {
      const run = scrubber.start();
      const masking = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          for (const piece of run.push(chunk)) this.push(Buffer.from(piece));
          done();
        },
        flush(done) {
          for (const piece of run.end()) this.push(Buffer.from(piece));
          done();
        },
      });
      masking.pipe(destination, { end: false });
      // Who reads has gone: whoever writes must learn of it.
      const lose = (): void => void masking.destroy();
      destination.once('close', lose);
      masking.once('close', () => destination.off('close', lose));
      return masking;
    },
  };
}
