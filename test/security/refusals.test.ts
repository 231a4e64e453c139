import { afterAll, beforeAll } from 'vitest';
import { refusals } from './refusals.ts';
import { startWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
}, 120_000);
afterAll(() => world?.stop());

refusals('a bearer service, as Stripe', () => world, {
  service: 'bank',
  method: 'GET',
  path: '/v1/balance',
  capability: 'bank:read',
  useless: 'bank:echo',
  carry: (token) => [`Authorization: Bearer ${token}`],
});

refusals('a service with a field of its own', () => world, {
  service: 'keyed',
  method: 'GET',
  path: '/echo/x',
  capability: 'keyed:echo',
  useless: 'bank:echo',
  carry: (token) => [`X-Acme-Key: ${token}`],
});

refusals('a service behind SigV4', () => world, {
  service: 'aws',
  method: 'PUT',
  path: '/echo/object',
  capability: 'aws:echo',
  useless: 'bank:read',
  carry: (token) => [
    `X-Amz-Security-Token: ${token}`,
    'X-Amz-Date: 20260101T000000Z',
    'X-Amz-Content-Sha256: UNSIGNED-PAYLOAD',
    `Authorization: AWS4-HMAC-SHA256 Credential=AKIADUMMYDUMMYDUMMY0/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=${'0'.repeat(64)}`,
  ],
  body: 'the object',
});

refusals('a service with Basic', () => world, {
  service: 'pair',
  method: 'POST',
  path: '/echo/x',
  capability: 'pair:echo',
  useless: 'keyed:echo',
  carry: (token) => [`Authorization: Basic ${Buffer.from(`robot:${token}`).toString('base64')}`],
  body: 'x',
});
