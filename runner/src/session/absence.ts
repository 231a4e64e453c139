import { existsSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { LEFTOVERS, type LeftoverKind, type SessionReceipt } from '../../../src/protocol.ts';
import type { Backend, Leftover, Trace } from '../sandbox/backend.ts';
import { emptyFolder, filesIn } from '../sandbox/session-folder.ts';

export interface Absence {
  readonly stated: SessionReceipt['absence'];
  /** What is still there, for people. */
  readonly left: readonly Leftover[];
}

/** Waits between looks: a killed process or an unmounted folder may take a moment to be gone. */
const PATIENCE_MS = [0, 50, 150, 400, 1_000, 2_000];
/** After this no other look is begun: an engine that does not answer has each of them wait. */
const ENOUGH_MS = 10_000;

/**
 * Removes what is left of exactly this session and looks again, until nothing is found or patience ends. What it states is what
 * the last look found, whatever was done before.
 */
export async function removeAndProve(
  backends: readonly Backend[],
  session: string,
  traces: readonly Trace[],
  folder: string,
): Promise<Absence> {
  let left: readonly Leftover[] = [];
  const began = performance.now();
  for (const wait of PATIENCE_MS) {
    await delay(wait);
    for (const backend of backends) {
      // What could not be swept is found by the look below; a sweep that failed may be tried again.
      await backend.sweep(session, traces, folder).catch(() => {});
    }
    removeFolder(folder);
    left = [];
    for (const backend of backends) left = [...left, ...(await look(backend, session, traces, folder))];
    left = [...left, ...folderOrFiles(folder)];
    if (left.length === 0 || performance.now() - began > ENOUGH_MS) break;
  }
  const found = Object.fromEntries(LEFTOVERS.map((kind) => [kind, 0])) as Record<LeftoverKind, number>;
  for (const { kind } of left) found[kind] += 1;
  return { stated: { proven: left.length === 0, looked_at: new Date().toISOString(), found }, left };
}

/** A look that fails has proved nothing: it counts as something found. */
async function look(
  backend: Backend,
  session: string,
  traces: readonly Trace[],
  folder: string,
): Promise<readonly Leftover[]> {
  try {
    return await backend.leftovers(session, traces, folder);
  } catch (error) {
    const kind = backend.name === 'docker' ? 'container' : 'process';
    return [{ kind, name: `cannot be looked for: ${(error as Error).message}` }];
  }
}

function removeFolder(folder: string): void {
  try {
    emptyFolder(folder);
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // What stays is found.
  }
}

/** The folder itself is something left, too. */
function folderOrFiles(folder: string): Leftover[] {
  const files = filesIn(folder);
  return files.length === 0 && existsSync(folder) ? [{ kind: 'file', name: folder }] : files;
}
