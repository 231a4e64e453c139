import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A value that must be found nowhere. */
export interface Canary {
  readonly name: string;
  readonly value: string;
}

/** Where a canary was found, and in which form; never the canary. */
export interface Leak {
  readonly name: string;
  readonly form: string;
  readonly place: string;
}

/** Every form in which a value is looked for, as bytes. */
export function formsOf(value: string): readonly [string, Buffer][] {
  const bytes = Buffer.from(value);
  const percent = [...bytes].map((b) => `%${b.toString(16).padStart(2, '0')}`).join('');
  const forms: [string, string | Buffer][] = [
    ['raw', value],
    ['reversed', [...value].toReversed().join('')],
    ['in a JSON string', JSON.stringify(value).slice(1, -1)],
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
    ['percent', encodeURIComponent(value)],
    ['percent everywhere', percent],
    ['PERCENT everywhere', percent.toUpperCase()],
    ['UTF-16', Buffer.from(value, 'utf16le')],
    ...[0, 1, 2].flatMap((alignment): [string, string][] => {
      const core = base64Core(bytes, alignment);
      return [
        [`base64 at ${alignment}`, core],
        [`base64url at ${alignment}`, core.replaceAll('+', '-').replaceAll('/', '_')],
      ];
    }),
  ];
  // A secret that is base64url itself (a JWK's `d`) is also its bytes.
  if (/^[\w-]{43}$/.test(value))
    forms.push(
      ['decoded', Buffer.from(value, 'base64url')],
      ['decoded, hex', Buffer.from(value, 'base64url').toString('hex')],
    );
  return forms.map(([form, text]) => [form, typeof text === 'string' ? Buffer.from(text) : text]);
}

/** The characters that depend on the value alone, wherever it stands in a longer text. */
function base64Core(bytes: Buffer, alignment: number): string {
  const encoded = Buffer.concat([Buffer.alloc(alignment), bytes])
    .toString('base64')
    .replace(/=+$/, '');
  const whole = Math.floor(((alignment + bytes.length) * 8) / 6);
  return encoded.slice(Math.ceil((alignment * 8) / 6), whole);
}

/** Looks for canaries in places, which are named in the findings. */
export class Search {
  readonly #forms: readonly { readonly name: string; readonly form: string; readonly characters: string }[];
  readonly #leaks: Leak[] = [];
  /** How many bytes were searched. */
  bytes = 0;

  constructor(canaries: readonly Canary[]) {
    this.#forms = canaries.flatMap(({ name, value }) =>
      formsOf(value).map(([form, bytes]) => ({ name, form, characters: bytes.toString('latin1') })),
    );
  }

  in(place: string, text: string | Buffer): void {
    const haystack = typeof text === 'string' ? Buffer.from(text) : text;
    this.bytes += haystack.length;
    // As Latin-1 a byte is a character, and the engine's search for a text is many times faster than that of a Buffer.
    const characters = haystack.toString('latin1');
    for (const { name, form, characters: sought } of this.#forms) {
      if (characters.includes(sought)) this.#leaks.push({ name, form, place });
    }
  }

  /** Every file below a directory, and every file's name; links are not followed. @param except paths relative to it that hold secrets by design. */
  inFiles(directory: string, except: readonly string[] = [], below = ''): void {
    for (const entry of readdirSync(join(directory, below), { withFileTypes: true })) {
      const name = join(below, entry.name);
      this.in(`the name of ${name}`, name);
      if (entry.isDirectory()) this.inFiles(directory, except, name);
      if (entry.isFile() && !except.includes(name)) this.in(name, readFileSync(join(directory, name)));
    }
  }

  get leaks(): readonly Leak[] {
    return this.#leaks;
  }
}
