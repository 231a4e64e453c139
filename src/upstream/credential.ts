/** A shorter value would be found everywhere in ordinary text: it cannot be scrubbed. */
export const MIN_SECRET_LENGTH = 6;

/** How a credential prints, wherever it is printed. */
const PRINT = '[credential]';

/**
 * A credential's value, poisoned: every way of printing it gives `[credential]`.
 *
 * `reveal` is called in `schemes/` and `scrub/` only; the layer rules check that by its name.
 */
export class Credential {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. */
  reveal(): string {
    return this.#value;
  }

  /** Whether this is the credential with that value; lets a cache notice a rotated secret without revealing the old one. */
  holds(value: unknown): boolean {
    return this.#value === value;
  }

  toString(): string {
    return PRINT;
  }

  toJSON(): string {
    return PRINT;
  }

  [Symbol.toPrimitive](): string {
    return PRINT;
  }

  get [Symbol.toStringTag](): string {
    return 'credential';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return PRINT;
  }
}

/** The credentials that one service's injection scheme needs. */
export type Credentials =
  | {
      readonly kind: 'single';
      readonly secret: Credential;
      /** What is sent is another text than the secret: an upstream may spell that again in every way. */
      readonly asSent?: Credential;
    }
  | {
      readonly kind: 'aws';
      readonly accessKeyId: Credential;
      readonly secretAccessKey: Credential;
      readonly sessionToken: Credential | null;
    };
