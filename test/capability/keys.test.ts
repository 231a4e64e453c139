import { describe, expect, it } from 'vitest';
import { importKeys } from '../../src/capability/keys.ts';
import { freshJwk } from './keyring.ts';

describe('threat 27: a signing key is not taken', () => {
  const broken: [string, (jwk: Record<string, unknown>) => unknown, RegExp][] = [
    ['that is not set', () => undefined, /not set/],
    ['that is empty', () => '', /not set/],
    ['that is no JSON', () => '{"kty":', /no JSON$/],
    ['that is no object', () => 'null', /no JSON object/],
    ['of another kind', (jwk) => ({ ...jwk, kty: 'EC' }), /no Ed25519 key/],
    ['of another curve', (jwk) => ({ ...jwk, crv: 'X25519' }), /no Ed25519 key/],
    ['without a name', (jwk) => ({ ...jwk, kid: undefined }), /no kid/],
    ['whose name would break a line', (jwk) => ({ ...jwk, kid: 'k\n1' }), /no kid/],
    ['whose name is too long', (jwk) => ({ ...jwk, kid: 'k'.repeat(65) }), /no kid/],
    ['without its public part', (jwk) => ({ ...jwk, x: undefined }), /no public part/],
    ['without its private part', (jwk) => ({ ...jwk, d: undefined }), /no private part/],
    ['whose private part is no key', (jwk) => ({ ...jwk, d: 'AA' }), /cannot be imported/],
  ];
  it.each(broken)('%s, and the answer says why, but not what it holds', async (_, change, why) => {
    const jwk = JSON.parse(await freshJwk('k1')) as Record<string, unknown>;
    const changed = change(jwk);
    const text = typeof changed === 'object' ? JSON.stringify(changed) : (changed as string | undefined);
    const keys = await importKeys(text, undefined);
    expect(keys).toMatchObject({
      ok: false,
      error: { setting: 'KEYWARDEN_SIGNING_KEY', why: expect.stringMatching(why) },
    });
    expect(JSON.stringify(keys)).not.toContain(jwk['d']);
  });

  it('beside a previous key that is none, or that bears the same name', async () => {
    const current = await freshJwk('k1');
    expect(await importKeys(current, '{"kty":"OKP"}')).toMatchObject({
      ok: false,
      error: { setting: 'KEYWARDEN_PREVIOUS_KEY' },
    });
    expect(await importKeys(current, await freshJwk('k1'))).toMatchObject({
      ok: false,
      error: { setting: 'KEYWARDEN_PREVIOUS_KEY', why: expect.stringContaining('same kid') },
    });
  });

  it('but one alone, and one beside an empty setting', async () => {
    for (const previous of [undefined, '']) expect((await importKeys(await freshJwk('k1'), previous)).ok).toBe(true);
  });
});
