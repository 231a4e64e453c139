import type { Counters } from '../backend.ts';

/** What `keywarden-helper supervise` says on its event pipe; see runner/helper/README.md. */
export type HelperEvent =
  | { readonly event: 'ready'; readonly sources: readonly string[] }
  | { readonly event: 'failed'; readonly why: string; readonly mend: string | null }
  | { readonly event: 'exited'; readonly code: number; readonly signal: string | null };

interface Row {
  readonly pathClass: string;
  readonly syscall: string;
  readonly count: number;
}

const NAME = /^[a-z0-9][a-z0-9_.-]{0,63}$/;
/** Classes times system calls: nobody who feeds us names may make this grow. */
const MOST_ROWS = 1024;

/** Keeps the totals that the helper tells. A line that is not as agreed is dropped, and counted as that. */
export class Counts {
  readonly #denied = new Map<string, Row>();
  readonly #observed = new Map<string, Row>();
  readonly #blocked = new Map<string, { readonly syscall: string; readonly count: number }>();
  #dropped = 0;
  #unreadable = 0;
  #sources: readonly string[] = [];

  /** @returns the events that are no counts. */
  take(line: string): HelperEvent | null {
    const event = parseLine(line);
    switch (event?.['event']) {
      case 'ready':
        this.#sources = namesIn(event['sources']);
        return { event: 'ready', sources: this.#sources };
      case 'failed':
        return { event: 'failed', why: textIn(event['why']) ?? 'it does not say why', mend: textIn(event['mend']) };
      case 'exited':
        return { event: 'exited', code: countIn(event['code']) ?? 125, signal: signalIn(event['signal']) };
      case 'denied':
        return this.#row(this.#denied, event);
      case 'observed':
        return this.#row(this.#observed, event);
      case 'blocked':
        return this.#block(event);
      case 'dropped':
        this.#dropped = Math.max(this.#dropped, countIn(event['count']) ?? this.#dropped);
        return null;
      default:
        this.#unreadable += 1;
        return null;
    }
  }

  counters(): Counters {
    return {
      denied: [...this.#denied.values()],
      observed: [...this.#observed.values()],
      blocked: [...this.#blocked.values()],
      dropped: this.#dropped + this.#unreadable,
      sources: this.#sources,
    };
  }

  #row(into: Map<string, Row>, event: Record<string, unknown>): null {
    const pathClass = nameIn(event['class']);
    const syscall = nameIn(event['syscall']);
    const count = countIn(event['count']);
    if (pathClass === null || syscall === null || count === null || into.size >= MOST_ROWS) this.#unreadable += 1;
    else into.set(`${pathClass} ${syscall}`, { pathClass, syscall, count });
    return null;
  }

  #block(event: Record<string, unknown>): null {
    const syscall = nameIn(event['syscall']);
    const count = countIn(event['count']);
    if (syscall === null || count === null || this.#blocked.size >= MOST_ROWS) this.#unreadable += 1;
    else this.#blocked.set(syscall, { syscall, count });
    return null;
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

const nameIn = (value: unknown): string | null => (typeof value === 'string' && NAME.test(value) ? value : null);
const namesIn = (value: unknown): string[] =>
  Array.isArray(value) ? value.map(nameIn).filter((name) => name !== null) : [];
const textIn = (value: unknown): string | null => (typeof value === 'string' ? value.slice(0, 500) : null);
const countIn = (value: unknown): number | null =>
  Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : null;
/** The helper says a number or a name; both become `SIGKILL`. */
const signalIn = (value: unknown): string | null =>
  typeof value === 'string' && /^SIG[A-Z0-9+]{1,12}$/.test(value)
    ? value
    : typeof value === 'number'
      ? `SIG${value}`
      : null;
