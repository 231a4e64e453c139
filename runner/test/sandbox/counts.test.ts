import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Counts } from '../../src/sandbox/namespace/counts.ts';

it('what the helper says otherwise than agreed is no event, and is counted as dropped', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keywarden-counts-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const counts = new Counts(folder);
  for (const line of ['', 'ready', 'null', '[]', '{"event":"denied","class":"aws"}', '{"event":7}'])
    expect(counts.take(line), line).toBeNull();
  expect(counts.counters()).toEqual({ denied: [], observed: [], blocked: [], dropped: 6, sources: [] });
  expect(counts.take('{"event":"ready","sources":["seccomp-notify","../x",7]}')).not.toBeNull();
  counts.finish();
  expect(counts.counters()).toMatchObject({ dropped: 6, sources: ['seccomp-notify'] });
});
