import { readFileSync, readlinkSync } from 'node:fs';
import { uptime } from 'node:os';

/**
 * Ms since the machine booted, the time it slept included (CLOCK_BOOTTIME, by /proc/uptime): neither a jump of the wall clock
 * nor a suspended host can make a deadline late. Resolution 10 ms.
 */
export const bootMs = (): number => uptime() * 1000;

/** Changes with every boot; a pid means nothing across two of them. */
export function bootId(): string {
  return textOf(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}

/** Pids of one namespace mean nothing in another. */
export function pidNamespace(): string {
  return textOf(() => readlinkSync('/proc/self/ns/pid'));
}

function textOf(read: () => string): string {
  try {
    return read();
  } catch {
    return 'unknown';
  }
}
