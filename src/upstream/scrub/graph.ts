/** A set of bytes, any of which an edge takes. */
export type ByteSet = readonly number[];
/** One spelling of a character: byte sets in sequence. */
export type Spelling = readonly ByteSet[];

/** The node in which a whole spelling of a credential has been read. */
export const ACCEPT = 1;

interface Edge {
  readonly bytes: ByteSet;
  readonly to: number;
}

/**
 * A nondeterministic automaton over bytes, without empty edges and without cycles: node 0 begins every pattern,
 * node {@link ACCEPT} ends every pattern. Being acyclic, it never has to remember more than its longest path.
 *
 * The edges of a character are made when a text first comes to it: of a long credential nearly none ever are.
 */
export class Graph {
  readonly #edges: Edge[][] = [[], []];
  readonly #depths: number[] = [0, 0];
  /** Of the nodes between two characters that no text came to yet: the spellings of the next character, and where they lead. */
  readonly #unmade: ({ readonly spellings: readonly Spelling[]; readonly to: number } | undefined)[] = [];
  /** Node 0's successors by byte: asked for at every byte of every text. */
  #starts: number[][] | null = null;

  /** Adds a pattern: for each character of a credential, the spellings it may have. */
  addPattern(characters: readonly (readonly Spelling[])[]): void {
    let from = 0;
    characters.forEach((spellings, i) => {
      const to = i === characters.length - 1 ? ACCEPT : this.#addNode();
      if (from === 0) this.#make(from, spellings, to);
      else this.#unmade[from] = { spellings, to };
      from = to;
    });
    this.#starts = null;
  }

  /** The nodes reached from `nodes` by one byte, ascending, each once. */
  step(nodes: readonly number[], byte: number): number[] {
    const reached: number[] = [];
    for (const node of nodes) {
      for (const edge of this.#edgesOf(node)) {
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

  /** Most bytes on a path from node 0 to this one, which some text has come to. */
  depth(node: number): number {
    return this.#depths[node] as number;
  }

  #edgesOf(node: number): Edge[] {
    const unmade = this.#unmade[node];
    if (unmade !== undefined) {
      this.#unmade[node] = undefined;
      this.#make(node, unmade.spellings, unmade.to);
    }
    return this.#edges[node] as Edge[];
  }

  #addNode(): number {
    this.#depths.push(0);
    return this.#edges.push([]) - 1;
  }

  #make(from: number, spellings: readonly Spelling[], to: number): void {
    // Spellings of one character share what they have in common (`&#`, `\u00`); never a node made before.
    const first = this.#edges.length;
    for (const spelling of spellings) {
      let node = from;
      spelling.forEach((bytes, i) => {
        const last = i === spelling.length - 1;
        const edges = this.#edges[node] as Edge[];
        const shared = last ? undefined : edges.find((edge) => edge.to >= first && same(edge.bytes, bytes));
        const next = last ? to : (shared?.to ?? this.#addNode());
        if (shared === undefined) edges.push({ bytes, to: next });
        this.#depths[next] = Math.max(this.depth(next), this.depth(node) + 1);
        node = next;
      });
    }
  }
}

const same = (a: ByteSet, b: ByteSet): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);
