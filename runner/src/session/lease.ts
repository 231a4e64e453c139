import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { SESSION_END_REASONS, type SessionEndReason, type SessionReceipt } from '../../../src/protocol.ts';
import { Failure } from '../failure.ts';
import type { BackendName, Counters, Exit, Trace } from '../sandbox/backend.ts';
import { codeOf, readRegular } from '../state/private-file.ts';
import { isRunning } from '../state/process-identity.ts';
import { writeBoxLabel } from './box-label.ts';
import { type Holder, isHolder, thisProcess } from './holder.ts';
import { makeBox } from './places.ts';
import { namesIn, type RunnerState } from './runner-state.ts';
import { isSessionId } from './session-id.ts';
import type { Observer } from './steps.ts';

/** How it ended, once that is known. */
export interface Ending {
  readonly reason: SessionEndReason;
  /** Unix ms. */
  readonly at: number;
  readonly exit: Exit | null;
  readonly durationMs: number | null;
}

/**
 * What a session leaves on disk from before its first trace until after its last: enough for whoever comes later to find, end
 * and prove it. Never the token, never a secret's value.
 */
export interface Lease {
  readonly version: 1;
  readonly session: string;
  readonly agent: string;
  readonly backend: BackendName;
  readonly host: string;
  readonly runner: Holder;
  /** Unix ms. */
  readonly leasedAt: number;
  readonly deadlineAt: number;
  /** The same by the clock that nobody sets (`bootMs`); says nothing under another `bootId`. */
  readonly deadlineBootMs: number;
  readonly graceMs: number;
  /** What the backend lays down is in here. */
  readonly folder: string;
  readonly traces: readonly Trace[];
  readonly tokenId: string | null;
  /** Whether an edge knows of it. */
  readonly atEdge: boolean;
  readonly started: SessionReceipt['started'];
  readonly runningAt: number | null;
  readonly counters: Counters | null;
  readonly ending: Ending | null;
}

/** A lease of ours, kept current on disk. */
export class LeaseFile {
  readonly #directory: string;
  #lease: Lease;

  private constructor(directory: string, lease: Lease) {
    this.#directory = directory;
    this.#lease = lease;
  }

  /**
   * Makes the session's folder and writes the lease into it, synced, before anything else of the session exists. The folder
   * appears under its name with the lease in it: nobody ever sees one without.
   *
   * @throws Failure when it cannot be written (a full disk, say): then there is no session.
   */
  static create(state: RunnerState, lease: Lease, observe: Observer): LeaseFile {
    const draft = join(state.sessions, draftName(lease.session, lease.runner));
    const directory = join(state.sessions, lease.session);
    try {
      mkdirSync(draft, { mode: 0o700 });
      writeWhole(draft, lease, true);
      observe('lease_drafted');
      renameSync(draft, directory);
      syncDirectory(state.sessions);
      makeBox(lease.folder);
      writeBoxLabel(lease.folder, { lease: directory, runner: lease.runner, backend: lease.backend });
    } catch (error) {
      for (const path of [draft, directory, lease.folder]) rmSync(path, { recursive: true, force: true });
      throw new Failure(
        `the lease of the session cannot be written: ${(error as Error).message}`,
        `nothing was started; is there room on the disk of ${state.path}?`,
      );
    }
    observe('lease_written');
    return new LeaseFile(directory, lease);
  }

  static open(state: RunnerState, lease: Lease): LeaseFile {
    return new LeaseFile(join(state.sessions, lease.session), lease);
  }

  get lease(): Lease {
    return this.#lease;
  }

  /** A file that asks the runner to stop appears here. */
  get stopFile(): string {
    return join(this.#directory, STOP_FILE);
  }

  /** Not synced: what an update adds (pids, a cgroup) is void after a power cut, and the first write told the rest. */
  update(change: Partial<Lease>): void {
    const next = { ...this.#lease, ...change };
    writeWhole(this.#directory, next, false);
    this.#lease = next;
  }

  /** The same where the disk may be full and the session must go on to its end all the same. */
  tryUpdate(change: Partial<Lease>): void {
    try {
      this.update(change);
    } catch {
      this.#lease = { ...this.#lease, ...change };
      overwrite(this.#directory, this.#lease);
    }
  }

  /** At once to who looks on: a folder that still bears the name and holds no lease any more would be taken for a damaged one. */
  remove(): void {
    const aside = join(dirname(this.#directory), draftName(this.#lease.session, thisProcess()));
    try {
      renameSync(this.#directory, aside);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
    rmSync(aside, { recursive: true, force: true });
  }
}

export const STOP_FILE = 'stop';
const LEASE_FILE = 'lease.json';

const draftName = (session: string, runner: Holder): string => `.new-${session}-${runner.pid}-${runner.startTime ?? 0}`;

/** As large as a lease may become, so that one on a full disk can still be written over. */
const ROOM_BYTES = 8192;
const padded = (text: string, bytes: number): string => text + ' '.repeat(Math.max(0, bytes - Buffer.byteLength(text)));

/**
 * On a full disk, where a new file finds no room: over the bytes that it has. A crash in the midst of it leaves a damaged lease,
 * which is swept by its name.
 */
function overwrite(directory: string, lease: Lease): void {
  const texts = [lease, { ...lease, counters: null }].map((one) => JSON.stringify(one));
  try {
    const fd = openSync(join(directory, LEASE_FILE), 'r+');
    try {
      const { size } = fstatSync(fd);
      const text = texts.find((one) => Buffer.byteLength(one) <= size);
      if (text !== undefined) writeSync(fd, padded(text, size), 0);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Then the sweep tells what it finds.
  }
}

function writeWhole(directory: string, lease: Lease, sync: boolean): void {
  const draft = join(directory, `.${randomBytes(6).toString('hex')}.tmp`);
  const fd = openSync(draft, 'wx', 0o600);
  try {
    // All of it or an error, which a single write is not.
    writeFileSync(fd, padded(JSON.stringify(lease), ROOM_BYTES));
    if (sync) fsyncSync(fd);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  renameSync(draft, join(directory, LEASE_FILE));
  if (sync) syncDirectory(directory);
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export type FoundLease =
  | { readonly kind: 'whole'; readonly session: string; readonly lease: Lease }
  /** The folder bears a session's name, the lease in it cannot be read. Its runner, where at least that can. */
  | { readonly kind: 'damaged'; readonly session: string; readonly runner: Holder | null }
  /** It is another user's, whose sessions are theirs to end. */
  | { readonly kind: 'closed'; readonly session: string }
  /** A runner was killed while it wrote its first lease, or while it gave its last one back. */
  | { readonly kind: 'draft'; readonly path: string };

/** Every lease on this host, and drafts whose runner is dead. */
export function listLeases(state: RunnerState): FoundLease[] {
  return namesIn(state, state.sessions).flatMap((name): FoundLease[] => {
    if (isSessionId(name)) {
      const found = findLease(state, name);
      return found === null ? [] : [found];
    }
    const draft = /^\.new-ses_[0-9a-z]{26}-(\d+)-(\d+)$/.exec(name);
    if (draft === null || isRunning(Number(draft[1]), draft[2] ?? '')) return [];
    return [{ kind: 'draft', path: join(state.sessions, name) }];
  });
}

export function readLease(state: RunnerState, session: string): Lease | null {
  const found = findLease(state, session);
  return found?.kind === 'whole' ? found.lease : null;
}

/** @returns null for what is no session: gone since it was listed, or no folder of ours. */
function findLease(state: RunnerState, session: string): Exclude<FoundLease, { kind: 'draft' }> | null {
  const folder = join(state.sessions, session);
  if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return null;
  try {
    const lease = JSON.parse(readRegular(join(folder, LEASE_FILE))) as Lease;
    if (isLease(lease, session)) return { kind: 'whole', session, lease };
    // Of a newer keywarden, perhaps: whether its runner lives is told in any case.
    return { kind: 'damaged', session, runner: isHolder(lease?.runner) ? lease.runner : null };
  } catch (error) {
    if (codeOf(error) === 'EACCES') return { kind: 'closed', session };
    // It may have ended just now.
    return existsSync(folder) ? { kind: 'damaged', session, runner: null } : null;
  }
}

const isLease = (x: Lease, session: string): boolean =>
  x?.version === 1 &&
  x.session === session &&
  (x.backend === 'namespace' || x.backend === 'docker') &&
  Number.isInteger(x.runner?.pid) &&
  typeof x.runner.bootId === 'string' &&
  Number.isFinite(x.deadlineAt) &&
  Number.isFinite(x.deadlineBootMs) &&
  typeof x.folder === 'string' &&
  Array.isArray(x.traces) &&
  typeof x.started === 'object' &&
  (x.ending === null || SESSION_END_REASONS.includes(x.ending.reason));
