/**
 * A command line as a receipt may show it. Arguments are world-readable on the host while the command runs, and still no
 * reason to keep a key for ever: values that are known secrets, that follow a telling name, or that look like keys are masked.
 */
const MASK = '[masked]';
const TELLING = /(key|token|secret|passw|passphrase|credential|auth|cookie|bearer|session)/i;
/** Long words of mixed kinds of characters, as keys are and words of language are not. */
const KEYLIKE = /[A-Za-z0-9+/_=.-]{24,}/g;
const USERINFO = /(:\/\/)[^/@\s]+@/g;
const MOST_ARGUMENTS = 64;
const MOST_CHARACTERS = 256;

export interface MaskedArgv {
  readonly argv: string[];
  readonly omitted: number;
}

/** @param known  Replaces the values of injected secrets. */
export function maskArgv(argv: readonly string[], known: (text: string) => string = (text) => text): MaskedArgv {
  let follows = false;
  const masked = argv.slice(0, MOST_ARGUMENTS).map((argument, i) => {
    if (i === 0) return bounded(known(argument));
    if (follows && !argument.startsWith('-')) {
      follows = false;
      return MASK;
    }
    const option = /^(--?[A-Za-z][\w-]*|[A-Za-z_]\w*)=(.*)$/s.exec(argument);
    if (option !== null && TELLING.test(option[1] ?? '')) return `${option[1]}=${MASK}`;
    follows = /^--?[A-Za-z][\w-]*$/.test(argument) && TELLING.test(argument);
    return bounded(looks(known(argument)));
  });
  return { argv: masked, omitted: Math.max(0, argv.length - MOST_ARGUMENTS) };
}

function looks(text: string): string {
  return text
    .replaceAll(USERINFO, `$1${MASK}@`)
    .replaceAll(KEYLIKE, (word) => (/\d/.test(word) && /[A-Za-z]/.test(word) && !isPathlike(word) ? MASK : word));
}

/** `node_modules/…/index-2.js`: parts of ordinary length between slashes. */
const isPathlike = (word: string): boolean => word.includes('/') && word.split('/').every((part) => part.length < 24);

const bounded = (text: string): string =>
  text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS - 1)}…`;
