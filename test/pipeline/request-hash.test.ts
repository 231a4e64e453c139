import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { requestHashOf } from '../../src/pipeline/request-hash.ts';

const request = {
  method: 'GET',
  origin: 'https://bank.example',
  path: '/v1/a',
  query: 'b=1',
  body: null as Uint8Array | null,
};
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

it('a record is bound to one request: whatever differs makes another hash', () => {
  const others = [
    { method: 'HEAD' },
    { origin: 'https://bank.example:8443' },
    { path: '/v1/b' },
    { query: 'b=2' },
    { query: '' },
    { path: '/v1/a?b=1', query: '' },
    { body: new Uint8Array() },
    { body: new TextEncoder().encode('a') },
  ].map((change) => requestHashOf({ ...request, ...change }));
  expect(new Set([requestHashOf(request), ...others]).size).toBe(others.length + 1);
});

it('and it is the hash that an auditor can make again', () => {
  expect(requestHashOf(request)).toBe(sha256('[1,"GET","https://bank.example","/v1/a","b=1",null]'));
  expect(requestHashOf({ ...request, body: new TextEncoder().encode('x') })).toBe(
    sha256(`[1,"GET","https://bank.example","/v1/a","b=1","${sha256('x')}"]`),
  );
});
