import { joined } from '../../lib/joined.ts';
import type { Credential, Credentials } from '../credential.ts';
import { Automaton } from './automaton.ts';
import { Graph } from './graph.ts';
import { addSpellings } from './spellings.ts';

/** What stands where a credential stood. */
export const REDACTED = '[redacted]';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
const REDACTED_BYTES = encoder.encode(REDACTED);
const NOTHING = new Uint8Array(0);

export interface ScrubOptions {
  /**
   * Put as many bytes in as are taken out, so that a Content-Length sent before stays true:
   * `[redacted]` and spaces, or asterisks where that does not fit.
   */
  readonly keepLength?: boolean;
}

/** Scrubs one body as its chunks come. */
export interface ScrubRun {
  /** How often the credential was redacted so far. */
  readonly hits: number;
  /** Bytes held back, since a spelling may have begun in them. */
  readonly held: number;
  /** Takes a chunk and gives the bytes that may go out, perhaps as views of the chunk. */
  push(chunk: Uint8Array): Uint8Array[];
  /** Gives what was held back. */
  end(): Uint8Array[];
}

/**
 * Finds a service's credentials, in all their spellings, and puts `[redacted]` in their place.
 *
 * Of an unfinished body only those bytes are held back that could be the beginning of a spelling, so that an event
 * stream is not delayed. Time is linear in the body, memory constant, whatever it holds.
 */
export class Scrubber {
  readonly #automaton: Automaton;

  /** @param secrets  Printable ASCII, as `secrets.ts` guarantees. */
  constructor(secrets: readonly Credential[]) {
    const graph = new Graph();
    for (const secret of secrets) addSpellings(graph, secret.reveal());
    this.#automaton = new Automaton(graph);
  }

  /** A run over one body. */
  start(options: ScrubOptions = {}): ScrubRun {
    return new Run(this.#automaton, options.keepLength ?? false);
  }

  /** Scrubs a whole body. Without a hit the very same array is returned. */
  bytes(body: Uint8Array, options: ScrubOptions = {}): { readonly bytes: Uint8Array; readonly hits: number } {
    const run = this.start(options);
    const pieces = [...run.push(body), ...run.end()];
    return run.hits === 0 ? { bytes: body, hits: 0 } : { bytes: joined(pieces), hits: run.hits };
  }

  /** Scrubs text that we hold as a string, such as a status text. Without a hit the very same string is returned. */
  text(text: string): { readonly text: string; readonly hits: number } {
    const { bytes, hits } = this.bytes(encoder.encode(text));
    return { text: hits === 0 ? text : decoder.decode(bytes), hits };
  }

  /**
   * Scrubs the values of header fields, in a copy. A field whose *name* holds the credential is dropped.
   *
   * @returns The given map when there is nothing to redact, else a new one; and the number of redactions.
   */
  fields(fields: Map<string, string>): { readonly fields: Map<string, string>; readonly hits: number } {
    // Nearly always there is nothing to find: one look at all of them tells, and the very same object goes on.
    let all = '';
    for (const [name, value] of fields) all += `${name}\n${value}\n`;
    if (this.text(all).hits === 0) return { fields, hits: 0 };
    const clean = new Map<string, string>();
    let hits = 0;
    for (const [name, value] of fields) {
      const scrubbedName = this.text(name);
      const scrubbed = this.text(value);
      hits += scrubbedName.hits + scrubbed.hits;
      if (scrubbedName.hits === 0) clean.set(name, scrubbed.text);
    }
    return { fields: clean, hits };
  }

  /**
   * The same as a stream.
   *
   * @param onHits  Called with the number of new redactions, whenever there are some, before their bytes go out.
   */
  stream(onHits: (hits: number) => void, options: ScrubOptions = {}): TransformStream<Uint8Array, Uint8Array> {
    const run = this.start(options);
    let told = 0;
    const send = (pieces: Uint8Array[], controller: TransformStreamDefaultController<Uint8Array>): void => {
      if (run.hits > told) onHits(run.hits - told);
      told = run.hits;
      for (const piece of pieces) controller.enqueue(piece);
    };
    return new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => send(run.push(chunk), controller),
      flush: (controller) => send(run.end(), controller),
    });
  }
}

const scrubbers = new WeakMap<Credentials, Scrubber>();

/** The scrubber of a service's credentials; made once for the same `Credentials` object. */
export function scrubberOf(credentials: Credentials): Scrubber {
  let scrubber = scrubbers.get(credentials);
  if (scrubber === undefined) {
    scrubber = new Scrubber(secretsOf(credentials));
    scrubbers.set(credentials, scrubber);
  }
  return scrubber;
}

function secretsOf(credentials: Credentials): Credential[] {
  if (credentials.kind === 'single')
    return credentials.asSent === undefined ? [credentials.secret] : [credentials.secret, credentials.asSent];
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  return sessionToken === null ? [accessKeyId, secretAccessKey] : [accessKeyId, secretAccessKey, sessionToken];
}

class Run implements ScrubRun {
  readonly #automaton: Automaton;
  readonly #keepLength: boolean;
  #held = NOTHING;
  hits = 0;

  constructor(automaton: Automaton, keepLength: boolean) {
    this.#automaton = automaton;
    this.#keepLength = keepLength;
  }

  get held(): number {
    return this.#held.length;
  }

  push(chunk: Uint8Array): Uint8Array[] {
    return this.#scan(this.#held.length === 0 ? chunk : joined([this.#held, chunk]), false);
  }

  end(): Uint8Array[] {
    return this.#scan(this.#held, true);
  }

  #scan(bytes: Uint8Array, final: boolean): Uint8Array[] {
    const out: Uint8Array[] = [];
    const pass = (start: number, end: number): void => {
      if (end > start) out.push(bytes.subarray(start, end));
    };
    let at = 0;
    for (;;) {
      const found = this.#automaton.find(bytes, at, final);
      pass(at, found.start);
      if (found.kind === 'none') {
        this.#held = found.start === bytes.length ? NOTHING : bytes.slice(found.start);
        return out;
      }
      this.hits++;
      out.push(this.#keepLength ? filled(found.end - found.start) : REDACTED_BYTES.slice());
      at = found.end;
    }
  }
}

function filled(length: number): Uint8Array {
  if (length < REDACTED_BYTES.length) return new Uint8Array(length).fill(0x2a);
  const bytes = new Uint8Array(length).fill(0x20);
  bytes.set(REDACTED_BYTES);
  return bytes;
}
