import type { SessionReceipt } from '../../../src/protocol.ts';
import type { Counters } from '../sandbox/backend.ts';
import type { Lease } from './lease.ts';

/** Told of a session's life, for metrics and events. */
export interface SessionListener {
  started(lease: Lease): void;
  counted(session: string, counters: Counters): void;
  ended(receipt: SessionReceipt): void;
}
