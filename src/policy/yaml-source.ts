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

/** One YAML file that was read with its positions kept. */
export class YamlSource {
  readonly file: string;
  readonly #text: string;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;
  /** What the syntax alone shows to be wrong; then {@link value} is not to be used. */
  readonly problems: PolicyProblem[] = [];

  constructor(file: string, text: string) {
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
    for (const slip of slipsOf(errors, text)) this.#reportSlip(slip);
    if (this.problems.length === 0) this.#refuseIndirection();
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
