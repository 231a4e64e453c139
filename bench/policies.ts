import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The secret's name in the policies, and its value here. */
export const SECRET = { name: 'BENCH_KEY', value: 'sk_bench_9f2c41d7a85be03614fd' };

/** The operation that is called, and the capability that allows it. */
export const CALLED = { path: '/v1/charges/ch_3Pq8ZkLw', capability: 'bench:read_charge' };

/**
 * Writes policies with `operations` (a multiple of 5) operations in all, in the manner of the Stripe policy: denials of the whole service
 * and a limit on the capability that is called.
 *
 * @returns the directory, and the capabilities that the caller's token holds: the called one is among others.
 */
export function writePolicies(
  directory: string,
  origin: string,
  operations: number,
): { directory: string; capabilities: string[] } {
  mkdirSync(directory, { recursive: true });
  // Five with charges, the called one among them; the rest in groups of five.
  const groups = (operations - 5) / 5;
  const yaml = `service: bench
title: Bench
description: A generated service.
origin: ${origin}
credential: { scheme: bearer, secret: ${SECRET.name} }

deny:
  - "* /v1/ephemeral_keys"
  - "* /v1/webhook_endpoints"

capabilities:
${Array.from({ length: groups }, (_, i) => group(i)).join('')}  read_charge:
    title: Read one charge
    description: The operation that the load generator calls.
    allow: GET /v1/charges/{id}
    limit: 1000000/s
  other_charges:
    title: Other things with charges
    description: Siblings in the trie.
    allow:
      - GET /v1/charges
      - GET /v1/charges/search
      - POST /v1/charges
      - POST /v1/charges/{id}
    limit: 60/min
`;
  writeFileSync(join(directory, 'bench.yaml'), yaml);
  return {
    directory,
    capabilities: [
      CALLED.capability,
      'bench:other_charges',
      ...Array.from({ length: Math.min(groups, 6) }, (_, i) => `bench:r${i}`),
    ],
  };
}

const group = (i: number): string => `  r${i}:
    title: Resource ${i}
    description: Everything with one resource.
    allow:
      - GET /v1/r${i}
      - POST /v1/r${i}
      - GET /v1/r${i}/{id}
      - DELETE /v1/r${i}/{id}
      - POST /v1/r${i}/{id}/{action}
    limit: 60/min
`;
