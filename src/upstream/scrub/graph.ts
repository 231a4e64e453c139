/** A set of bytes, any of which an edge takes. */
export type ByteSet = readonly number[];
/** One spelling of a character: byte sets in sequence. */
export type Spelling = readonly ByteSet[];

/** The node in which a whole spelling of a credential has been read. */
export const ACCEPT = 1;

/**
 * A nondeterministic automaton over bytes, without empty edges and without cycles: node 0 begins every pattern,
 * node {@link ACCEPT} ends every pattern. Being acyclic, it never has to remember more than its longest path.
 */
export class Graph {
  readonly #edges: { readonly bytes: ByteSet; readonly to: number }[][] = [[], []];
  /** Node 0's successors by byte: asked for at every byte of every text. */
  #starts: number[][] | null = null;
  readonly #depths: number[] = [0, 0];

  /** Adds a pattern: for each character of a credential, the spellings it may have. */
  addPattern(characters: readonly (readonly Spelling[])[]): void {
    let from = 0;
    characters.forEach((spellings, i) => {
      const to = i === characters.length - 1 ? ACCEPT : this.#addNode();
      for (const spelling of spellings) this.#addSpelling(from, spelling, to);
      from = to;
    });
    this.#starts = null;
  }

  /** The nodes reached from `nodes` by one byte, ascending, each once. */
  step(nodes: readonly number[], byte: number): number[] {
    const reached: number[] = [];
    for (const node of nodes) {
      for (const edge of this.#edges[node] as { bytes: ByteSet; to: number }[]) {
        if (edge.bytes.includes(byte) && !reached.includes(edge.to)) reached.push(edge.to);
      }
    }
    return reached.length > 1 ? reached.sort((a, b) => a - b) : reached;
  }

  /** The nodes in which a pattern that begins with this byte may be. */
  start(byte: number): readonly number[] {
    this.#starts ??= Array.from({ length: 256 }, (_, b) => this.step([0], b));
    return this.#starts[byte] as number[];
  }

  /** Most bytes on a path from node 0 to this one. */
  depth(node: number): number {
    return this.#depths[node] as number;
  }

  #addNode(): number {
    this.#depths.push(0);
    return this.#edges.push([]) - 1;
  }

  #addSpelling(from: number, spelling: Spelling, to: number): void {
    let node = from;
    spelling.forEach((bytes, i) => {
      const last = i === spelling.length - 1;
      const edges = this.#edges[node] as { bytes: ByteSet; to: number }[];
      // Spellings of one character share what they have in common (`&#`, `\u00`); never the node where the next one begins.
      const shared = last ? undefined : edges.find((edge) => edge.to > to && edge.to > ACCEPT && same(edge.bytes, bytes));
      const next = last ? to : (shared?.to ?? this.#addNode());
      if (shared === undefined) edges.push({ bytes, to: next });
      this.#depths[next] = Math.max(this.depth(next), this.depth(node) + 1);
      node = next;
    });
  }
}

const same = (a: ByteSet, b: ByteSet): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);
