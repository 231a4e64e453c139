import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';
import { closestOf } from './spelling.ts';
import { aliasSlip, type Slip, slipsOf } from './yaml-slips.ts';

/** A problem with a policy file: where it is, what is wrong, and how to mend it. Lines and columns count from 1. */
export interface PolicyProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Where in the document: `capabilities.refund.limit`. */
  readonly path: string;
  readonly message: string;
  readonly fix: string;
}

/** A path into a document: keys and indices. */
export type DocumentPath = readonly PropertyKey[];

const MAX_FILE_LENGTH = 1_000_000;

/** Fields that stand more often than this are copies of each other. */
const MOST_READINGS = 8;

/** One YAML file that was read with its positions kept. */
export class YamlSource {
  readonly file: string;
  readonly #text: string;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;
  /** What the syntax alone shows to be wrong; then {@link value} is not to be used, but those of its {@link readings}. */
  readonly problems: PolicyProblem[] = [];
  /**
   * What can be looked at for more that is wrong: the file itself, when its syntax is right. When fields stand there more than
   * once and nothing else is wrong, the file with the first of each alone, with the second, and so on: a doubled field hides
   * no mistake in either of the two. None when the rest cannot be relied on.
   */
  readonly readings: readonly YamlSource[];

  /** @param nth  Of fields that stand there more than once the nth is kept (or the last), and nobody complains. */
  constructor(file: string, text: string, nth: number | null = null) {
    this.file = file;
    this.#text = text;
    const tooLong = text.length > MAX_FILE_LENGTH;
    this.#document = parseDocument(tooLong ? '' : text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      uniqueKeys: true,
      stringKeys: true,
      version: '1.2',
      merge: false,
    });
    if (tooLong) this.#report(0, 'the file is longer than 1,000,000 characters', 'split it');
    const errors = [...this.#document.errors, ...this.#document.warnings];
    if (nth !== null) {
      this.#keep(nth);
      this.readings = [];
      return;
    }
    for (const slip of slipsOf(errors, text)) this.#reportSlip(slip);
    const slips = this.problems.length;
    const doubled = errors.length > 0 && errors.every(({ code }) => code === 'DUPLICATE_KEY');
    if (slips === 0 || doubled) this.#refuseIndirection();
    if (this.problems.length === 0) this.readings = [this];
    else this.readings = doubled && this.problems.length === slips ? this.#readingsOf(text) : [];
  }

  /** An alias may stand for what only one of them has. */
  #readingsOf(text: string): YamlSource[] {
    let most = 1;
    let aliases = 0;
    visit(this.#document, {
      Alias: () => void (aliases += 1),
      Map: (_key, map) => {
        for (const same of fieldsOf(map)) most = Math.max(most, same.length);
      },
    });
    if (aliases > 0) return [];
    return Array.from({ length: Math.min(most, MOST_READINGS) }, (_, i) => new YamlSource(this.file, text, i));
  }

  #keep(nth: number): void {
    visit(this.#document, {
      Map: (_key, map) => {
        map.items = fieldsOf(map).flatMap((same) => same[Math.min(nth, same.length - 1)] ?? []);
      },
    });
  }

  /** Anchors of scalars are a convenience; tags, and aliases of whole structures, hide what a reviewer should see. */
  #refuseIndirection(): void {
    const anchors: string[] = [];
    visit(this.#document, {
      Node: (_key, node) => {
        const at = node.range?.[0] ?? 0;
        if (!isAlias(node) && node.anchor !== undefined) anchors.push(node.anchor);
        if (isAlias(node)) {
          const meant = node.resolve(this.#document);
          if (meant === undefined) this.#reportSlip(this.#slipOfAlias(node.source, at, anchors));
          else if (!isScalar(meant))
            this.#report(at, `the alias *${node.source} stands for more than one plain value`, 'write it out');
        } else if (node.tag !== undefined) {
          this.#report(at, `the tag ${node.tag} is not allowed`, 'remove it');
        }
      },
    });
  }

  /** A misspelt alias, or a `*` that was meant as itself. */
  #slipOfAlias(name: string, offset: number, anchors: readonly string[]): Slip {
    const near = closestOf(name, anchors);
    if (near === null) return aliasSlip(this.#text, offset);
    return { offset, message: 'the alias names no anchor above it', fix: `did you mean *${near}?` };
  }

  #reportSlip({ offset, message, fix }: Slip): void {
    this.#report(offset, message, fix);
  }

  #report(offset: number, message: string, fix: string): void {
    this.problems.push({ file: this.file, ...this.#positionOf(offset), path: '', message, fix });
  }

  get value(): unknown {
    return this.#document.toJS({ maxAliasCount: 1000 });
  }

  has(path: DocumentPath): boolean {
    return path.length === 0 || this.#document.hasIn(path);
  }

  /** Whether a `#` cut a text without quotes in the middle of a string: YAML takes what follows for a comment. */
  isCut(path: DocumentPath): boolean {
    const node = this.#nodeAt(path);
    if (!isScalar(node) || node.type !== 'PLAIN' || !node.range) return false;
    const [start, end] = node.range;
    const odd = (quote: string): boolean => this.#text.slice(start, end).split(quote).length % 2 === 0;
    return /^[ \t]+#/.test(this.#text.slice(end)) && (odd('"') || odd("'"));
  }

  /** A problem at the value that stands at `path`, or at what should hold it; `offset` is within a string value. */
  problemAt(path: DocumentPath, message: string, fix: string, offset = 0): PolicyProblem {
    return this.#problem(path, this.#offsetOfValue(path, offset), message, fix);
  }

  /** A problem at a key of a mapping. */
  problemAtKey(path: DocumentPath, message: string, fix: string): PolicyProblem {
    return this.#problem(path, this.#offsetOfKey(path), message, fix);
  }

  #problem(path: DocumentPath, offset: number, message: string, fix: string): PolicyProblem {
    return { file: this.file, ...this.#positionOf(offset), path: pathText(path), message, fix };
  }

  #positionOf(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  #nodeAt(path: DocumentPath): Node | null {
    const node = path.length === 0 ? this.#document.contents : this.#document.getIn(path, true);
    return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node : null;
  }

  #offsetOfKey(path: DocumentPath): number {
    const parent = this.#nodeAt(path.slice(0, -1));
    const pair = isMap(parent)
      ? parent.items.find((item: Pair) => isScalar(item.key) && item.key.value === String(path.at(-1)))
      : undefined;
    return (isScalar(pair?.key) ? pair.key.range?.[0] : undefined) ?? parent?.range?.[0] ?? 0;
  }

  #offsetOfValue(path: DocumentPath, within: number): number {
    const node = this.#nodeAt(path);
    if (node === null) return path.length === 0 ? 0 : this.#offsetOfValue(path.slice(0, -1), 0);
    const range = node.range;
    if (!range) return 0;
    if (!isScalar(node) || typeof node.value !== 'string' || within === 0) return range[0];
    return range[0] + offsetInSource(this.#text.slice(range[0], range[1]), node.value, within);
  }
}

/** Each once: the readings of a file have most of it in common. */
export function distinctProblems(problems: readonly PolicyProblem[]): PolicyProblem[] {
  const keyOf = ({ file, line, column, message }: PolicyProblem): string =>
    JSON.stringify([file, line, column, message]);
  return [...new Map(problems.map((problem) => [keyOf(problem), problem])).values()];
}

/** Those of one name together, in the order in which they stand there; the name alone a second time says nothing more. */
function fieldsOf(map: YAMLMap): Pair[][] {
  const named = Map.groupBy(map.items, ({ key }) => (isScalar(key) ? String(key.value) : key));
  const isEmpty = ({ value }: Pair): boolean => value === null || (isScalar(value) && (value.value ?? '') === '');
  return [...named.values()].map((same) => (same.every(isEmpty) ? same : same.filter((pair) => !isEmpty(pair))));
}

/** Finds in a scalar's source (quoted, folded or plain) the word that stands at `offset` of its value. */
function offsetInSource(source: string, value: string, offset: number): number {
  const exact = source.indexOf(value);
  if (exact !== -1) return exact + offset;
  const word = /^\S{1,16}/.exec(value.slice(offset))?.[0];
  if (word === undefined) return 0;
  let found = -1;
  for (let i = value.indexOf(word); i !== -1 && i <= offset; i = value.indexOf(word, i + 1)) {
    const next = source.indexOf(word, found + 1);
    if (next === -1) break;
    found = next;
  }
  return Math.max(found, 0);
}

function pathText(path: DocumentPath): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}
