import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend, BackendName } from '../sandbox/backend.ts';
import { codeOf } from '../state/private-file.ts';
import { removeAndProve } from './absence.ts';
import { type BoxLabel, readBoxLabel } from './box-label.ts';
import { stateOfHolder } from './holder.ts';
import { sharedFolders } from './places.ts';
import { isSessionId } from './session-id.ts';
import { incomplete, type SweptSession } from './swept.ts';

/**
 * Ends sessions of dead runners whose lease went with their state directory (`rm -r .keywarden`): by the label in the box,
 * wherever that directory was. Without a lease there is no receipt; the edge shows the session as lost.
 */
export async function sweepOrphans(backendOf: (name: BackendName) => Promise<Backend>): Promise<SweptSession[]> {
  const swept: SweptSession[] = [];
  for (const { session, box, label } of sharedFolders().flatMap(orphansIn)) {
    try {
      const { left } = await removeAndProve([await backendOf(label.backend)], session, [], box);
      const detail = `its lease is gone (${label.lease}): no receipt`;
      swept.push(left.length > 0 ? incomplete(session, left) : { session, did: 'ended', detail });
    } catch (error) {
      swept.push({ session, did: 'incomplete', detail: (error as Error).message });
    }
  }
  return swept;
}

interface Orphan {
  readonly session: string;
  readonly box: string;
  readonly label: BoxLabel;
}

function orphansIn(folder: string): Orphan[] {
  return namesOf(folder)
    .filter(isSessionId)
    .flatMap((session) => {
      const box = join(folder, session);
      const label = readBoxLabel(box);
      if (label === null || !isGone(label.lease)) return [];
      return ['dead', 'rebooted'].includes(stateOfHolder(label.runner)) ? [{ session, box, label }] : [];
    });
}

/** Not when it only cannot be looked at, as a folder of another user's. */
function isGone(path: string): boolean {
  try {
    lstatSync(path);
    return false;
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '');
  }
}

function namesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
