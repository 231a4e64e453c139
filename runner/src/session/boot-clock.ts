import { uptime } from 'node:os';

/**
 * Ms since the machine booted, the time it slept included (CLOCK_BOOTTIME, by /proc/uptime): neither a jump of the wall clock
 * nor a suspended host can make a deadline late. Resolution 10 ms.
 */
export const bootMs = (): number => uptime() * 1000;
