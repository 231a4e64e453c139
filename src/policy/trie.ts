import type { CanonicalPath } from '../access.ts';
import { decodedSegmentOf } from './canonical-path.ts';
import type { OperationRule } from './ruled.ts';

/** A rule together with whatever its owner wants back when it matches. */
export interface TrieEntry<Tag> {
  readonly rule: OperationRule;
  readonly tag: Tag;
}

/** A rule that matches, with the percent-decoded values of its template's names. */
export interface TrieMatch<Tag> extends TrieEntry<Tag> {
  readonly params: ReadonlyMap<string, string>;
}

interface Node<Tag> {
  readonly literals: Map<string, Node<Tag>>;
  readonly params: { readonly prefix: string; readonly suffix: string; readonly node: Node<Tag> }[];
  readonly ends: TrieEntry<Tag>[];
  /** Entries whose `{path+}` begins here. */
  readonly rests: TrieEntry<Tag>[];
}

const newNode = <Tag>(): Node<Tag> => ({ literals: new Map(), params: [], ends: [], rests: [] });

/**
 * All path templates of one service, by segment. Matching visits only what agrees so far, and each node at most once.
 * Literal text is compared percent-decoded, so that `%40` and `@` cannot tell a rule two different things.
 */
export class PathTrie<Tag> {
  readonly #root: Node<Tag> = newNode();

  add(rule: OperationRule, tag: Tag): void {
    let node = this.#root;
    for (const segment of rule.segments) {
      if (segment.kind === 'rest') {
        node.rests.push({ rule, tag });
        return;
      }
      node =
        segment.kind === 'literal'
          ? literalChild(node, segment.text)
          : paramChild(node, segment.prefix, segment.suffix);
    }
    node.ends.push({ rule, tag });
  }

  /**
   * Every rule whose template the path fits, whatever its method, condition and trailing slash: the caller judges those.
   * No order is promised, and none is "more specific": a literal hides no parameter.
   */
  match(path: CanonicalPath): TrieMatch<Tag>[] {
    const segments = segmentsOf(path);
    const found: TrieMatch<Tag>[] = [];
    collect(this.#root, segments, 0, [], found);
    return found;
  }
}

function literalChild<Tag>(node: Node<Tag>, text: string): Node<Tag> {
  let child = node.literals.get(text);
  if (child === undefined) node.literals.set(text, (child = newNode()));
  return child;
}

function paramChild<Tag>(node: Node<Tag>, prefix: string, suffix: string): Node<Tag> {
  const known = node.params.find((edge) => edge.prefix === prefix && edge.suffix === suffix);
  if (known !== undefined) return known.node;
  const edge = { prefix, suffix, node: newNode<Tag>() };
  node.params.push(edge);
  return edge.node;
}

function collect<Tag>(
  node: Node<Tag>,
  segments: readonly string[],
  i: number,
  values: readonly string[],
  found: TrieMatch<Tag>[],
): void {
  if (i === segments.length) {
    for (const entry of node.ends) found.push({ ...entry, params: paramsOf(entry.rule, values) });
    return;
  }
  if (node.rests.length > 0) {
    const rest = [...values, segments.slice(i).join('/')];
    for (const entry of node.rests) found.push({ ...entry, params: paramsOf(entry.rule, rest) });
  }
  const segment = segments[i] as string;
  const literal = node.literals.get(segment);
  if (literal !== undefined) collect(literal, segments, i + 1, values, found);
  for (const { prefix, suffix, node: child } of node.params) {
    // The name stands for at least one character.
    if (segment.length <= prefix.length + suffix.length) continue;
    if (!segment.startsWith(prefix) || !segment.endsWith(suffix)) continue;
    collect(child, segments, i + 1, [...values, segment.slice(prefix.length, segment.length - suffix.length)], found);
  }
}

function paramsOf(rule: OperationRule, values: readonly string[]): ReadonlyMap<string, string> {
  const params = new Map<string, string>();
  let i = 0;
  for (const segment of rule.segments) if (segment.kind !== 'literal') params.set(segment.name, values[i++] as string);
  return params;
}

/** Decoded segments, without the empty one that a trailing slash leaves. */
function segmentsOf(path: CanonicalPath): string[] {
  const segments = path.slice(1).split('/');
  if (segments.at(-1) === '') segments.pop();
  return path.includes('%') ? segments.map((segment) => decodedSegmentOf(segment) ?? segment) : segments;
}
