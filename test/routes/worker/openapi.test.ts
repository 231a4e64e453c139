import { expect, it } from 'vitest';
import { app } from '../../../src/app.ts';
import openapi from '../../../src/openapi.generated.json' with { type: 'json' };

it('openapi.json tells every operation of our own API, and none that is not there', () => {
  const there = app.routes
    .filter(({ method, path }) => method !== 'ALL' && !path.startsWith('/console'))
    .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`);
  const told = Object.entries(openapi.paths)
    .filter(([path]) => !path.startsWith('/proxy/'))
    .flatMap(([path, operations]) => Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`));
  expect(told.toSorted()).toEqual([...new Set(there)].sort());
});
