import { expect, it } from 'vitest';
import { namespaceBackend } from '../../src/sandbox/namespace/backend.ts';
import { selftest } from '../../src/sandbox/selftest/selftest.ts';

it('the selftest holds on this host, and every control works outside', async () => {
  const results = [];
  for await (const result of selftest(namespaceBackend(), null, null)) results.push(result);
  expect(results.length).toBeGreaterThan(20);
  expect(results.filter((result) => !result.ok)).toEqual([]);
});
