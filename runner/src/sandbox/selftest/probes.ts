import type { Probe } from './attack.ts';
import { CALLS } from './probes-calls.ts';
import { CHANNELS } from './probes-channels.ts';
import { FILES } from './probes-files.ts';
import { LIFE } from './probes-life.ts';
import { SECRETS } from './probes-secrets.ts';

/** Every attack, by its row of the threat list. */
export const PROBES: readonly Probe[] = [...SECRETS, ...FILES, ...CALLS, ...CHANNELS, ...LIFE].toSorted(
  (a, b) => a.row - b.row,
);
