import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AuditRow } from '../../src/audit/event.ts';
import { verifyExport } from '../../src/audit/verify.ts';
import type { ChainHead } from '../../src/ledger/contract.ts';
import { chainOf, headOf, linked } from '../support/audit-rows.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const rowsA = chainOf(A, 5);
const rowsB = chainOf(B, 3);
const heads = [headOf(rowsA, A), headOf(rowsB, B)];

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;
let edge: Keys;
let stranger: Keys;
let jwks: Parameters<typeof verifyExport>[1];
beforeAll(async () => {
  edge = await generateKeyPair('EdDSA');
  stranger = await generateKeyPair('EdDSA');
  jwks = { keys: [{ ...(await exportJWK(edge.publicKey)), kid: 'edge', alg: 'EdDSA' }] };
});

async function checkpoint(
  keys: Keys,
  signed: readonly ChainHead[],
  rows: number,
  typ = 'keywarden-checkpoint+jwt',
): Promise<string> {
  const payload = new TextEncoder().encode(JSON.stringify({ heads: signed, rows, iat: 1 }));
  const jws = await new CompactSign(payload)
    .setProtectedHeader({ alg: 'EdDSA', kid: 'edge', typ })
    .sign(keys.privateKey);
  return JSON.stringify({ type: 'checkpoint', jws });
}
const lines = (rows: readonly AuditRow[]): string[] => rows.map((row) => JSON.stringify(row));
const problemsOf = async (all: readonly string[]): Promise<string[]> =>
  (await verifyExport(all, jwks)).problems.map(
    (one) => `${one.ledger.slice(0, 1)} ${one.seq} ${one.problem.split(': ').slice(1).join(': ')}`,
  );

describe('an export', () => {
  it('as it was made is in order', async () => {
    const all = [...lines([...rowsA, ...rowsB]), await checkpoint(edge, heads, 8)];
    expect(await verifyExport(all, jwks)).toEqual({
      ok: true,
      rows: 8,
      ledgers: 2,
      checkpoint: 'verified',
      problems: [],
    });
  });

  it('may be read from a stream, with a last empty line', async () => {
    const all = [...lines([...rowsA, ...rowsB]), await checkpoint(edge, heads, 8), ''];
    async function* stream() {
      yield* all;
    }
    expect((await verifyExport(stream(), jwks)).ok).toBe(true);
  });

  it('of an edge that has recorded nothing is in order', async () => {
    expect((await verifyExport([await checkpoint(edge, [], 0)], jwks)).ok).toBe(true);
  });

  it('without a JWKS says that the signature is unchecked', async () => {
    const all = [...lines([...rowsA, ...rowsB]), await checkpoint(stranger, heads, 8)];
    expect(await verifyExport(all, null)).toMatchObject({ ok: true, checkpoint: 'unchecked' });
  });

  it('altered, dropped, cut, reordered, duplicated, appended: each is told by ledger and row', async () => {
    const seal = await checkpoint(edge, heads, 8);
    const [a1, a2, a3, a4, a5] = rowsA as [AuditRow, AuditRow, AuditRow, AuditRow, AuditRow];
    const told = (...a: AuditRow[]): Promise<string[]> => problemsOf([...lines([...a, ...rowsB]), seal]);
    expect(await told(a1, { ...a2, status: 500 }, a3, a4, a5)).toEqual([
      'a 2 altered: its content does not give its hash',
    ]);
    expect(await told(a1, linked({ ...a2, status: 500 }), a3, a4, a5)).toEqual([
      'a 2 replaced: what follows it was chained to another row',
    ]);
    expect(await told(a1, a3, a4, a5)).toEqual(['a 2 missing']);
    expect(await told(a1, a2)).toEqual([expect.stringMatching(/^a 3 .*missing$/)]);
    expect(await told()).toEqual([expect.stringMatching(/^a 1 .*missing$/)]);
    expect(await told(a1, a3, a2, a4, a5)).toEqual(['a 2 stands after a later row']);
    expect(await told(a1, a2, a2, a3, a4, a5)).toEqual(['a 2 its number occurs twice']);
    expect(await told(a1, a2, a3, a4, a5, linked({ ...a5, seq: 6, prevHash: a5.hash }))).toEqual([
      expect.stringMatching(/^a 6 inserted/),
    ]);
    expect(await told(a1, a2, a3, a4, linked({ ...a5, agent: 'x' }))).toEqual([expect.stringMatching(/^a 5 replaced/)]);
  });

  it('with a ledger that the checkpoint does not know is refused', async () => {
    const all = [...lines([...rowsA, ...rowsB]), await checkpoint(edge, [heads[0] as ChainHead], 8)];
    expect(await problemsOf(all)).toContainEqual(expect.stringMatching(/^b 1 .*does not exist/));
  });

  it('interleaved ledgers are each in order', async () => {
    const mixed = rowsA.flatMap((row, index) => [row, ...rowsB.slice(index, index + 1)]);
    expect((await verifyExport([...lines(mixed), await checkpoint(edge, heads, 8)], jwks)).ok).toBe(true);
  });
});

describe('a checkpoint', () => {
  it.each([
    ['that is missing', async () => [], 'missing'],
    ['signed by a stranger', async () => [await checkpoint(stranger, heads, 8)], 'bad'],
    ['that is a token of the same key', async () => [await checkpoint(edge, heads, 8, 'at+jwt')], 'bad'],
    ['that is no JWS', async () => ['{"type":"checkpoint","jws":"x"}'], 'bad'],
  ] as const)('%s leaves the export unproven', async (_, seal, state) => {
    const result = await verifyExport([...lines([...rowsA, ...rowsB]), ...(await seal())], jwks);
    expect(result).toMatchObject({ ok: false, checkpoint: state });
    expect(result.problems.length).toBeGreaterThan(0);
  });

  it('followed by more rows is told by its line', async () => {
    const all = [...lines([...rowsA, ...rowsB]), await checkpoint(edge, heads, 8), ...lines(rowsB)];
    expect((await verifyExport(all, jwks)).problems[0]?.problem).toBe('line 10: stands after the checkpoint');
  });
});

it.each(['', 'null', '[]', '{}', '7', 'not json', '{"ledger":"a"}', '{"ledger":"a","seq":"1"}'])(
  'a line that is no row (%s) is told, never thrown',
  async (line) => {
    const result = await verifyExport([line, await checkpoint(edge, [], 0)], jwks);
    expect(result.ok).toBe(line === '');
  },
);
