import { readFileSync } from 'node:fs';
import * as z from 'zod/mini';
import { isInTheClear } from '../client/edge-address.ts';
import { Failure } from '../failure.ts';
import type { Jwks } from './verify-export.ts';

/** A set of public keys (RFC 7517 §5), as far as it must be looked into here. */
export const JwksShape = z.object({ keys: z.array(z.record(z.string(), z.unknown())) });

const MEND = "the edge's is at /.well-known/jwks.json";

/**
 * The keys in a file or at a URL.
 *
 * @throws Failure naming the place and what is wrong with it.
 */
export async function jwksAt(place: string): Promise<Jwks> {
  const text = /^https?:\/\//.test(place) ? await fetched(place) : read(place);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Failure(`${place} holds no JWKS: it is no JSON: ${(error as Error).message}`, MEND);
  }
  const jwks = JwksShape.safeParse(value);
  if (!jwks.success) throw new Failure(`${place} holds no JWKS: it has no list "keys"`, MEND);
  if (jwks.data.keys.length === 0) throw new Failure(`${place} holds no keys`, MEND);
  return jwks.data;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Failure(`the keys cannot be read: ${(error as Error).message}`, MEND);
  }
}

async function fetched(place: string): Promise<string> {
  if (!URL.canParse(place)) throw new Failure(`${place} is no URL`, MEND);
  if (isInTheClear(new URL(place)))
    throw new Failure(
      `${place} is not encrypted: whoever stands in between could put his own keys there`,
      'use https://',
    );
  try {
    const response = await fetch(place, { redirect: 'error', signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return await response.text();
  } catch (error) {
    const { cause, message } = error as Error;
    throw new Failure(
      `the keys cannot be had from ${place}: ${cause instanceof Error && cause.message !== '' ? cause.message : message}`,
      MEND,
    );
  }
}
