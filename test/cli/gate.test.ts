import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gate, openGate } from '../../runner/src/demo/gate.ts';

const KEY = 'sk_demo_real';
const TOKEN = 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ';
let upstream: Server;
let gate: Gate;

beforeAll(async () => {
  upstream = createServer((req, res) => {
    let body = '';
    req.on('data', (chunk) => (body += String(chunk)));
    req.on('end', () => res.writeHead(201, { 'x-from': 'upstream' }).end(`${req.method} ${req.url} ${body}`));
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  gate = await openGate(`http://127.0.0.1:${(upstream.address() as { port: number }).port}`, KEY);
});
afterAll(async () => {
  await gate.close();
  upstream.close();
});

describe('the gate of the demo', () => {
  it('opens for the real key, and changes nothing', async () => {
    const answer = await fetch(`${gate.origin}/v1/x?y=1`, {
      method: 'POST',
      body: 'z',
      headers: { authorization: `Bearer ${KEY}` },
    });
    expect([answer.status, answer.headers.get('x-from'), await answer.text()]).toEqual([
      201,
      'upstream',
      'POST /v1/x?y=1 z',
    ]);
  });

  it.each([undefined, 'Bearer nonsense', KEY, `Bearer ${KEY}x`])('stays shut for %s', async (authorization) => {
    expect((await fetch(gate.origin, authorization === undefined ? {} : { headers: { authorization } })).status).toBe(
      401,
    );
  });

  it.each([
    ['as Bearer', { authorization: `Bearer ${TOKEN}` }],
    ['as Basic', { authorization: `Basic ${Buffer.from(`${TOKEN}:`).toString('base64')}` }],
    ['beside the real key', { authorization: `Bearer ${KEY}`, 'x-api-key': TOKEN }],
  ])('cries out at a capability token %s', async (_where, headers) => {
    expect((await fetch(gate.origin, { headers })).status).toBe(418);
  });

  it('cries out at a capability token in the query', async () => {
    expect((await fetch(`${gate.origin}/?key=${TOKEN}`, { headers: { authorization: `Bearer ${KEY}` } })).status).toBe(
      418,
    );
  });
});
