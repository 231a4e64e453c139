import { inPackage } from '../project.ts';

/** Where credentials lie, by class: data, from which the helper's table is made. */
export const CREDENTIAL_PATHS = inPackage('helper/credential-paths.txt');

export interface CredentialPath {
  readonly pathClass: string;
  /** Below any home, absolute, or a name in any folder. */
  readonly where: '~/' | '/' | '**/';
  /** Without `~/` and the like, and without the closing slash of a folder. */
  readonly text: string;
  readonly folder: boolean;
  readonly glob: boolean;
  /** Counted, and let pass. */
  readonly observed: boolean;
  /** No credential, whatever else matches. */
  readonly except: boolean;
}

const MOST_BYTES = 65_535;
const MOST_PATTERNS = 256;
/** As many as the helper has counters for (`MOST_CLASSES` in helper.h). */
const MOST_CLASSES = 48;
const MOST_CLASS_BYTES = 31;
const MOST_PATTERN_BYTES = 111;

/** @throws {SyntaxError} with the number of the line: a list that is not understood makes no helper. */
export function parseCredentialPaths(text: string): readonly CredentialPath[] {
  if (Buffer.byteLength(text) > MOST_BYTES) throw new SyntaxError('it is too long');
  if (text.includes('\0')) throw new SyntaxError('it holds a null byte');
  const paths: CredentialPath[] = [];
  const classes = new Set<string>();
  for (const [index, written] of text.split('\n').entries()) {
    const line = written.replace(/ #.*/, '').trimEnd();
    if (line === '' || line.startsWith('#')) continue;
    const fail = (why: string): never => {
      throw new SyntaxError(`line ${index + 1}: ${why}`);
    };
    const path = parseLine(line, fail);
    classes.add(path.pathClass);
    if (classes.size > MOST_CLASSES) fail('too many classes');
    if (paths.push(path) > MOST_PATTERNS) fail('too many patterns');
  }
  if (paths.length === 0) throw new SyntaxError('no pattern in it');
  return paths;
}

/** In the order in which the helper numbers them. */
export const classesOf = (paths: readonly CredentialPath[]): readonly string[] => [
  ...new Set(paths.map(({ pathClass }) => pathClass)),
];

function parseLine(line: string, fail: (why: string) => never): CredentialPath {
  const [, pathClass, marked] = /^([^ ]*) +(.*)$/.exec(line) ?? fail('a line is `class pattern # source`');
  if (pathClass === undefined || marked === undefined || !/^[a-z0-9-]+$/.test(pathClass)) {
    return fail('a class is lower-case letters, digits and -');
  }
  if (pathClass.length > MOST_CLASS_BYTES) fail('a class is too long');
  const mark = /^[!?]?/.exec(marked)?.[0];
  const pattern = marked.slice(mark?.length ?? 0);
  const where = (['~/', '**/', '/'] as const).find((prefix) => pattern.startsWith(prefix));
  if (where === undefined) return fail('a pattern begins with ~/, / or **/');
  const whole = where === '/' ? pattern : pattern.slice(where.length);
  const folder = whole.length > 1 && whole.endsWith('/');
  const text = folder ? whole.slice(0, -1) : whole;
  if (text === '' || Buffer.byteLength(text) > MOST_PATTERN_BYTES) fail('a pattern is too short or too long');
  return {
    ...{ pathClass, where, text, folder },
    ...{ glob: /[*?[]/.test(text), observed: mark === '?', except: mark === '!' },
  };
}
