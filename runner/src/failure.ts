/** What an exit code of `keywarden` means. */
export const EXIT = {
  ok: 0,
  /** The command worked; its answer is no: policy errors, a broken chain, an access that is denied. */
  negative: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** Keywarden could not do it. */
  failed: 125,
} as const;

/** An expected end of a command. `main.ts` prints it as `keywarden: error: …` and `keywarden: hint: …`. */
export class Failure extends Error {
  readonly hints: readonly string[];
  readonly exitCode: number;

  constructor(message: string, hint: string | readonly string[] = [], exitCode: number = EXIT.failed) {
    super(message);
    this.name = 'Failure';
    this.hints = typeof hint === 'string' ? [hint] : hint;
    this.exitCode = exitCode;
  }
}

/** The edge said no. The code is for deciding, the words are for people. */
export class Refusal extends Failure {
  /** Of its problem; null when what it answered was none. */
  readonly code: string | null;

  constructor(code: string | null, message: string, hint: string | readonly string[] = []) {
    super(message, hint);
    this.code = code;
  }
}

/** The edge did not answer in time, and will not a moment later. */
export class NoAnswer extends Failure {}

/** The command line asks for something that does not exist or makes no sense. */
export const usage = (message: string, hint: string | readonly string[] = []): Failure =>
  new Failure(message, hint, EXIT.usage);
