import { ACCEPT, type Graph } from './graph.ts';

/** Most states kept; then all are forgotten and those in use are made again, as RE2 does. 1 KiB each. */
const MAX_STATES = 1024;
const ROW = 256;
/** A state is the offset of its row. Row 0 is not used, so that 0 can say "not yet computed". */
const UNKNOWN = 0;
const ACCEPTING = -1;
/** The state in which nothing has begun. */
const ROOT = ROW;

/** What a scan met first. Offsets are into the scanned bytes. */
export type Finding =
  /** A spelling stands in [start, end). */
  | { readonly kind: 'match'; readonly start: number; readonly end: number }
  /** None ends here, and one may begin at `start`; `start` is the length when none may. */
  | { readonly kind: 'none'; readonly start: number };

/**
 * A deterministic automaton over a {@link Graph}, made lazily: a transition is computed when a text first asks for it.
 * One table look-up a byte, whatever the text holds; memory is bounded by {@link MAX_STATES}.
 */
export class Automaton {
  readonly #graph: Graph;
  /** Row after row of successors, by state + byte. */
  #next = new Int32Array(64 * ROW);
  #nodes: (readonly number[])[] = [];
  #depths: number[] = [];
  #ids = new Map<string, number>();

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#forget();
  }

  /**
   * Finds the leftmost, then longest spelling at or after `from`.
   *
   * @param final  True when nothing will follow these bytes. When false, a match that following bytes could
   *               still lengthen is not reported yet.
   */
  find(bytes: Uint8Array, from: number, final: boolean): Finding {
    const length = bytes.length;
    let next = this.#next;
    let state = ROOT;
    for (let at = from; at < length; at++) {
      if (state === ROOT) {
        // Most bytes begin nothing, and in this loop no look-up waits for the one before it.
        while (at < length && next[ROOT + (bytes[at] as number)] === ROOT) at++;
        if (at === length) break;
      }
      const before = state;
      state = next[state + (bytes[at] as number)] as number;
      if (state > 0) continue;
      const left = Math.max(from, at - this.#depth(before));
      if (state === UNKNOWN) {
        state = this.#extend(before, bytes[at] as number);
        next = this.#next;
      }
      if (state === ACCEPTING) return this.#settle(bytes, left, at + 1, final);
    }
    if (final || state === ROOT) return { kind: 'none', start: length };
    return { kind: 'none', start: this.#firstAlive(bytes, Math.max(from, length - this.#depth(state)), length) };
  }

  /** The transition of one state by one byte; negative when it accepts. */
  #extend(state: number, byte: number): number {
    const nodes = this.#nodes[state / ROW] as readonly number[];
    const reached = [...new Set([...this.#graph.start(byte), ...this.#graph.step(nodes, byte)])].sort((a, b) => a - b);
    // An accepting state is never scanned from: `#settle` reads on by itself, and the next scan begins at the root.
    if (reached.includes(ACCEPT)) {
      this.#next[state + byte] = ACCEPTING;
      return ACCEPTING;
    }
    const key = reached.join();
    let id = this.#ids.get(key);
    if (id === undefined) {
      if (this.#nodes.length >= MAX_STATES) {
        this.#forget();
        return this.#intern(key, reached);
      }
      id = this.#intern(key, reached);
    }
    this.#next[state + byte] = id;
    return id;
  }

  /** Most bytes that anything begun in this state is long. */
  #depth(state: number): number {
    return this.#depths[state / ROW] as number;
  }

  #intern(key: string, nodes: readonly number[]): number {
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#nodes.push(nodes) - 1;
    this.#depths.push(Math.max(0, ...nodes.map((node) => this.#graph.depth(node))));
    if ((id + 1) * ROW > this.#next.length) {
      const grown = new Int32Array(this.#next.length * 2);
      grown.set(this.#next);
      this.#next = grown;
    }
    this.#ids.set(key, id * ROW);
    return id * ROW;
  }

  #forget(): void {
    this.#next.fill(0);
    this.#nodes = [[]];
    this.#depths = [0];
    this.#ids = new Map();
    this.#intern('', []);
  }

  /** Given that a spelling ends at `end`, finds where the leftmost begins and whether it, or an earlier one, goes on. */
  #settle(bytes: Uint8Array, left: number, end: number, final: boolean): Finding {
    let alive: { start: number; nodes: number[] }[] = [];
    let start = end;
    for (let from = left; from < end; from++) {
      const nodes = this.#walk(bytes, from, end);
      if (nodes.length > 0) alive.push({ start: from, nodes });
      if (!nodes.includes(ACCEPT)) continue;
      start = from;
      break;
    }
    let matched = end;
    for (let at = end; ; at++) {
      alive = alive.filter((thread) => thread.start <= start && thread.nodes.some((node) => node !== ACCEPT));
      if (alive.length === 0) break;
      if (at >= bytes.length) {
        if (final) break;
        return { kind: 'none', start: Math.min(start, (alive[0] as { start: number }).start) };
      }
      for (const thread of alive) {
        thread.nodes = this.#graph.step(thread.nodes, bytes[at] as number);
        if (!thread.nodes.includes(ACCEPT) || thread.start > start) continue;
        start = thread.start;
        matched = at + 1;
      }
    }
    return { kind: 'match', start, end: matched };
  }

  /** The leftmost offset from which the bytes up to `end` are the beginning of a spelling; `end` when there is none. */
  #firstAlive(bytes: Uint8Array, left: number, end: number): number {
    for (let from = left; from < end; from++) {
      if (this.#walk(bytes, from, end).length > 0) return from;
    }
    return end;
  }

  #walk(bytes: Uint8Array, from: number, end: number): number[] {
    let nodes: number[] = [...this.#graph.start(bytes[from] as number)];
    for (let at = from + 1; at < end && nodes.length > 0; at++) nodes = this.#graph.step(nodes, bytes[at] as number);
    return nodes;
  }
}
