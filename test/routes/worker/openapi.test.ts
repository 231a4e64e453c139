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

type Told = Record<string, Record<string, { security?: object[]; responses: Record<string, unknown> }>>;
const operationOf = (name: string) => {
  const [method = '', path = ''] = name.split(' ');
  return (openapi.paths as unknown as Told)[path]?.[method.toLowerCase()];
};

it.each([
  ['POST /v1/stops', '404'],
  ['POST /v1/stops/lift', '404'],
  ['POST /v1/signals/screen', '404'],
])('%s tells that it may answer %s', (name, status) => {
  expect(Object.keys(operationOf(name)?.responses ?? {})).toContain(status);
});

it.each([['GET /v1/sessions/{id}'], ['POST /v1/sessions/{id}/stop']])(
  '%s never answers 409, and tells none',
  (name) => {
    expect(Object.keys(operationOf(name)?.responses ?? {})).not.toContain('409');
  },
);

it('who is signed in, signing in and out: asked by who is nobody yet', () => {
  expect(operationOf('GET /v1/console/session')?.security).toContainEqual({});
  expect(operationOf('POST /v1/console/session')?.security).toEqual([]);
  expect(operationOf('DELETE /v1/console/session')?.security).toEqual([]);
});
