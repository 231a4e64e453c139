import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackendName } from '../sandbox/backend.ts';
import { readRegular } from '../state/private-file.ts';
import { type Holder, isHolder } from './holder.ts';

/** Whose a box is, laid into it: its state directory may be deleted, and the lease with it, while the box lies elsewhere. */
export interface BoxLabel {
  /** The folder of its lease. */
  readonly lease: string;
  readonly runner: Holder;
  readonly backend: BackendName;
}

const LABEL_FILE = 'label.json';

export function writeBoxLabel(box: string, label: BoxLabel): void {
  writeFileSync(join(box, LABEL_FILE), JSON.stringify(label), { mode: 0o600 });
}

/** @returns null when there is none that can be read: then nobody knows whose the box is. */
export function readBoxLabel(box: string): BoxLabel | null {
  try {
    const label = JSON.parse(readRegular(join(box, LABEL_FILE))) as BoxLabel;
    const known = typeof label?.lease === 'string' && isHolder(label.runner);
    return known && (label.backend === 'namespace' || label.backend === 'docker') ? label : null;
  } catch {
    return null;
  }
}
