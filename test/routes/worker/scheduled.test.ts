import { createScheduledController } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { afterEach, expect, it, vi } from 'vitest';
import type { Env } from '../../../src/env.ts';
import worker from '../../../src/index.ts';

afterEach(() => vi.restoreAllMocks());

it('the clock of an edge without its keys says that no signal is watched, and why', async () => {
  const said = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  await worker.scheduled(createScheduledController({ cron: '* * * * *' }), env as unknown as Env);
  expect(said.mock.calls).toEqual([
    [expect.stringMatching(/^keywarden: error: the signals are not watched: .*KEYWARDEN_SIGNING_KEY/)],
  ]);
});
