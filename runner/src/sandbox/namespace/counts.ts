import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { CREDENTIAL_PATHS, parseCredentialPaths } from '../../helper/credential-list.ts';
import { machineOf, parseSystemCalls, SYSTEM_CALLS } from '../../helper/system-calls.ts';
import { COUNTED, countedNames, MOST_CLASSES, MOST_RULES } from '../../helper/tables.ts';
import type { Counters } from '../backend.ts';

/** What `keywarden-helper supervise` says on its event pipe; see runner/helper/README.md. */
export type HelperEvent =
  | { readonly event: 'ready'; readonly sources: readonly string[] }
  | { readonly event: 'exited'; readonly code: number; readonly signal: string | null };

const NAME = /^[a-z0-9][a-z0-9_.-]{0,63}$/;
const KIND_BYTES = (MOST_CLASSES + 1) * MOST_RULES * 4;
const NOTHING = Buffer.alloc(KIND_BYTES);
const TABLE_BYTES = COUNTED.length * KIND_BYTES;

/**
 * A file of counts. Behind them stands of which lists they are: who finds it when its runner is dead may be another keywarden.
 */
class CountsFile {
  readonly fd: number;
  // As they are now: the helper that counts was made of them. Read only when something was counted.
  readonly #lists = [readFileSync(SYSTEM_CALLS, 'utf8'), readFileSync(CREDENTIAL_PATHS, 'utf8')] as const;
  #names: ReturnType<typeof countedNames> | null = null;
  readonly #table = Buffer.alloc(TABLE_BYTES);

  constructor(fd: number) {
    this.fd = fd;
  }

  mark(): void {
    try {
      writeSync(this.fd, this.#digest(), 0, null, TABLE_BYTES);
    } catch {
      // No room: the helper says so when it finds none either.
    }
  }

  isOfOurLists(): boolean {
    const marked = Buffer.alloc(33);
    const read = readSync(this.fd, marked, 0, marked.length, TABLE_BYTES);
    return marked.subarray(0, read).equals(this.#digest());
  }

  read(): void {
    readSync(this.fd, this.#table, 0, TABLE_BYTES, 0);
  }

  isEmpty(): boolean {
    return this.#table.every((byte) => byte === 0);
  }

  counters(sources: readonly string[], unreadable: number): Counters {
    return {
      denied: this.#rows('denied'),
      observed: this.#rows('observed'),
      blocked: this.#rows('blocked').map(({ syscall, count }) => ({ syscall, count })),
      dropped: this.#rows('dropped').reduce((sum, { count }) => sum + count, unreadable),
      sources,
    };
  }

  #digest(): Buffer {
    return createHash('sha256').update(JSON.stringify(this.#lists)).digest();
  }

  #rows(
    kind: (typeof COUNTED)[number],
  ): { readonly pathClass: string; readonly syscall: string; readonly count: number }[] {
    const rows = [];
    const start = COUNTED.indexOf(kind) * KIND_BYTES;
    if (this.#table.subarray(start, start + KIND_BYTES).equals(NOTHING)) return [];
    const names = this.#namesOnce();
    for (let at = start; at < start + KIND_BYTES; at += 4) {
      const count = this.#table.readUInt32LE(at);
      if (count === 0) continue;
      const cell = (at - start) / 4;
      const pathClass = names.classes[Math.floor(cell / MOST_RULES)] ?? 'none';
      rows.push({ pathClass, syscall: names.calls[cell % MOST_RULES] ?? 'none', count });
    }
    return rows;
  }

  #namesOnce(): ReturnType<typeof countedNames> {
    const [calls, paths] = this.#lists;
    this.#names ??= countedNames(parseSystemCalls(calls, machineOf()), parseCredentialPaths(paths));
    return this.#names;
  }
}

/**
 * What a supervisor counted whose runner is dead: to be asked once, when it has ended and its file may be gone.
 *
 * @param folder  The session's.
 * @param sources  As its runner knew them; null: it did not know yet, and what has counted something was live.
 * @returns null when there is nothing that could be believed.
 */
export function countsLeftIn(folder: string, sources: readonly string[] | null): (() => Counters | null) | null {
  let fd: number;
  try {
    fd = openSync(join(folder, 'counts'), constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch {
    return null;
  }
  const file = new CountsFile(fd);
  if (!file.isOfOurLists()) {
    closeSync(fd);
    return null;
  }
  return () => {
    file.read();
    closeSync(fd);
    if (sources === null && file.isEmpty()) return null;
    return file.counters(sources ?? ['seccomp-notify'], 0);
  };
}

/** The helper's counters, in a file that it writes while it counts: whatever floods it, nothing has to be said one by one. */
export class Counts {
  /** For the helper; ours until `finish`. */
  readonly fd: number;
  readonly #file: CountsFile;
  #finished = false;
  #unreadable = 0;
  #sources: readonly string[] = [];

  constructor(folder: string) {
    this.fd = openSync(join(folder, 'counts'), 'w+', 0o600);
    this.#file = new CountsFile(this.fd);
    this.#file.mark();
  }

  /** A line of the event pipe. One that is not as agreed is dropped, and counted as that. */
  take(line: string): HelperEvent | null {
    const event = parseLine(line);
    switch (event?.['event']) {
      case 'ready':
        this.#sources = namesIn(event['sources']);
        return { event: 'ready', sources: this.#sources };
      case 'exited':
        return { event: 'exited', code: countIn(event['code']) ?? 125, signal: signalIn(event['signal']) };
      default:
        this.#unreadable += 1;
        return null;
    }
  }

  counters(): Counters {
    if (!this.#finished) this.#file.read();
    return this.#file.counters(this.#sources, this.#unreadable);
  }

  /** When the helper has ended: what it counted stays. */
  finish(): void {
    if (this.#finished) return;
    this.#file.read();
    this.#finished = true;
    closeSync(this.fd);
  }
}

function parseLine(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

const namesIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((name): name is string => typeof name === 'string' && NAME.test(name)) : [];
const countIn = (value: unknown): number | null =>
  Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : null;
/** The helper says a number, 0 for none. */
const signalIn = (value: unknown): string | null => (typeof value === 'number' && value > 0 ? `SIG${value}` : null);
