import { CompactSign, importJWK } from 'jose';
import { describe, expect, it } from 'vitest';
import type { SessionReceipt } from '../../../src/protocol.ts';
import { parseReceiptFile, sha256Of, signReceipt } from '../../src/session/receipt.ts';
import { verifyReceiptFile } from '../../src/session/verify-receipt.ts';
import { makeSigningKey, type SigningJwk } from '../../src/state/keys.ts';

const AT = '2026-01-02T03:04:05.678Z';
const receipt: SessionReceipt = {
  version: 1,
  session_id: `ses_${'a'.repeat(26)}`,
  agent_id: 'worker',
  backend: 'namespace',
  host: 'host-1',
  started: {
    program: 'python3',
    argv: ['python3', 'agent.py'],
    argv_omitted: 0,
    root: null,
    mounts: [],
    limits: { memory_bytes: 1 },
    layers: [{ name: 'bubblewrap', present: true, required: true }],
    capabilities: ['bank:read'],
    secrets: [],
  },
  at: { leased: AT, running: AT, ended: AT, deadline: AT, duration_ms: 12 },
  reason: 'exited',
  exit_code: 7,
  signal: null,
  token: null,
  counters: null,
  absence: {
    proven: true,
    looked_at: AT,
    found: { process: 0, container: 0, network: 0, volume: 0, mount: 0, cgroup: 0, socket: 0, file: 0 },
  },
  written_by: 'runner',
};
const key = makeSigningKey();
const fileOf = (jws: string, shown: unknown = receipt): string => JSON.stringify({ receipt: shown, jws }, null, 2);
const signedBy = async (by: SigningJwk, payload: string | Uint8Array, header: object): Promise<string> =>
  new CompactSign(typeof payload === 'string' ? new TextEncoder().encode(payload) : payload)
    .setProtectedHeader({ alg: 'EdDSA', ...header })
    .sign(await importJWK({ ...by }, 'EdDSA'));
const TYPED = { typ: 'keywarden-receipt+jwt' };

describe('a receipt', () => {
  it('is verified by the key of its runner, as a file and as the bare JWS', async () => {
    const jws = signReceipt(receipt, key);
    for (const text of [fileOf(jws), jws, `\n${jws}\n`, JSON.stringify({ jws })])
      expect(await verifyReceiptFile(text, 'file', key.x)).toEqual({ ok: true, receipt, sha256: sha256Of(jws) });
  });

  it('names the key and a type that no token has', () => {
    const [header = ''] = signReceipt(receipt, key).split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
      alg: 'EdDSA',
      kid: key.kid,
      typ: 'keywarden-receipt+jwt',
    });
  });

  const other = makeSigningKey();
  it.each<[string, () => string | Promise<string>, RegExp]>([
    ['of another runner', () => fileOf(signReceipt(receipt, other)), /not by this key/],
    [
      'that brings its own key',
      async () => fileOf(await signedBy(other, JSON.stringify(receipt), { ...TYPED, jwk: { ...other, d: undefined } })),
      /not by this key/,
    ],
    ['of another type', async () => signedBy(key, JSON.stringify(receipt), { typ: 'at+jwt' }), /no receipt/],
    ['without a type', async () => signedBy(key, JSON.stringify(receipt), {}), /no receipt/],
    [
      'whose content was altered',
      () => {
        const [head, , tail] = signReceipt(receipt, key).split('.');
        const altered = Buffer.from(JSON.stringify({ ...receipt, exit_code: 0 })).toString('base64url');
        return `${head}.${altered}.${tail}`;
      },
      /not by this key/,
    ],
    [
      'that shows what was not signed',
      () => fileOf(signReceipt(receipt, key), { ...receipt, exit_code: 0 }),
      /is not what was signed/,
    ],
    [
      'that shows a member twice, of which JSON.parse sees the last',
      () => fileOf(signReceipt(receipt, key)).replace('"exit_code":', '"exit_code":77,"exit_code":'),
      /is not what was signed/,
    ],
    [
      'that shows a word with other gaps',
      () => fileOf(signReceipt(receipt, key), { ...receipt, agent_id: `${receipt.agent_id} ` }),
      /is not what was signed/,
    ],
    [
      'that shows something beside it',
      () => fileOf(signReceipt(receipt, key)).replace('{', '{"exit_code":77,'),
      /is not what was signed/,
    ],
    [
      'of a later form',
      async () => signedBy(key, JSON.stringify({ ...receipt, version: 2 }), TYPED),
      /of a form that this keywarden does not know/,
    ],
    [
      'that is signed, and no UTF-8',
      async () => signedBy(key, Buffer.from(JSON.stringify({ ...receipt, host: 'host-\xff' }), 'latin1'), TYPED),
      /of a form that this keywarden/,
    ],
    ['that is signed, and no JSON', async () => signedBy(key, 'receipt', TYPED), /of a form that this keywarden/],
  ])('%s is none, and the answer says why', async (_, make, why) => {
    expect(await verifyReceiptFile(await make(), 'file', key.x)).toEqual({
      ok: false,
      why: expect.stringMatching(why),
    });
  });

  it.each(['', 'x', 'a.b', '{}', 'null', '7', '{"jws":7}', '{"jws":'])('is not what a file with %j holds', (text) => {
    expect(() => parseReceiptFile(text, 'that.json')).toThrow('that.json holds no receipt');
  });
});
