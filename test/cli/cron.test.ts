import { describe, expect, it } from 'vitest';
import { isDue } from '../../runner/src/edge/cron.ts';
import { readWorkerSettings } from '../../runner/src/edge/worker-settings.ts';

const at = (time: string): Date => new Date(`2026-11-24T${time}:30Z`);

describe('the clock of keywarden dev', () => {
  it('every minute, and one minute of the day in UTC', () => {
    expect(isDue('* * * * *', at('12:34'))).toBe(true);
    expect(isDue('17 3 * * *', at('03:17'))).toBe(true);
    expect(isDue('17 3 * * *', at('03:18'))).toBe(false);
    expect(isDue('17 3 * * 2', at('03:17'))).toBe(true);
    expect(isDue('17 3 1 * *', at('03:17'))).toBe(false);
  });
  it('knows every expression of wrangler.toml', () => {
    const { crons } = readWorkerSettings();
    expect(crons.length).toBeGreaterThan(0);
    for (const cron of crons) expect(() => isDue(cron, new Date())).not.toThrow();
  });
  it.each(['*/5 * * * *', '* * *', '1-2 * * * *', ''])('refuses %j rather than never being due', (cron) => {
    expect(() => isDue(cron, new Date())).toThrow(/does not know/);
  });
});
