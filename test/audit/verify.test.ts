import fc from 'fast-check';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { AuditRow } from '../../src/audit/event.ts';
import { checkpointLineOf, exportLineOf } from '../../src/audit/export-line.ts';
import { type LineRead, verifyExport } from '../../src/audit/verify.ts';
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
  const payload = new TextEncoder().encode(
    JSON.stringify({ iss: 'https://edge.example', iat: 1_800_000_009, heads: signed, rows }),
  );
  const jws = await new CompactSign(payload)
    .setProtectedHeader({ alg: 'EdDSA', kid: 'edge', typ })
    .sign(keys.privateKey);
  return checkpointLineOf(jws);
}
const lines = (rows: readonly AuditRow[]): string[] => rows.map(exportLineOf);
/** `a 2 altered: …` of row 2 of ledger a, `line 3 …` of what concerns a line alone, `export …` of the whole. */
const problemsOf = async (all: readonly LineRead[], keys = jwks): Promise<string[]> =>
  (await verifyExport(all, keys)).problems.map(({ line, ledger, seq, problem }) =>
    ledger === null
      ? `${line === null ? 'export' : `line ${line}`} ${problem}`
      : `${ledger.slice(0, 1)} ${seq} ${problem.split(': ').slice(1).join(': ')}`,
  );

describe('an export', () => {
  it('as it was made is in order', async () => {
    const all = [...lines([...rowsA, ...rowsB]), await checkpoint(edge, heads, 8)];
    expect(await verifyExport(all, jwks)).toEqual({
      ok: true,
      rows: 8,
      ledgers: 2,
      checkpoint: 'verified',
      issuer: 'https://edge.example',
      issued_at: '2027-01-15T08:00:09.000Z',
      problems: [],
    });
  });

  it('altered in any character, line or number of lines is not in order', async () => {
    const all = [...lines([...rowsA, ...rowsB]), await checkpoint(edge, heads, 8)];
    const line = fc.nat(all.length - 1);
    const at = fc.nat(1_000);
    const sign = fc.constantFrom(...'AQgwz09 "{}[],:.-e\\\0\r\t', '\u2028', '\ufeff', '\ud800', 'null', 'true');
    const edit = fc.oneof(
      fc.tuple(line, at, fc.nat(3), sign).map(([i, place, length, text]) => {
        const old = all[i] as string;
        // As often at its end as anywhere: there stand hash and signature.
        const from = old.length - 1 - (place % old.length);
        return all.with(i, old.slice(0, from) + text + old.slice(from + length));
      }),
      line.map((i) => all.toSpliced(i, 1)),
      fc.tuple(line, line).map(([i, j]) => all.toSpliced(i, 0, all[j] as string)),
      fc.tuple(fc.nat(4), fc.nat(4)).map(([i, j]) => all.with(i, all[j] as string).with(j, all[i] as string)),
    );
    await fc.assert(
      fc.asyncProperty(edit, async (edited) => {
        fc.pre(edited.join('\n') !== all.join('\n'));
        expect((await verifyExport(edited, jwks)).ok).toBe(false);
      }),
      { seed: 8, numRuns: 250 },
    );
    for (const other of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      const edited = all.with(8, (all[8] as string).replace(/.(?="}$)/, other));
      expect((await verifyExport(edited, jwks)).ok, other).toBe(edited[8] === all[8]);
    }
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
    expect(await told()).toEqual(['a 1 missing']);
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
    const all = [...lines([...rowsA, ...rowsB]), await checkpoint(edge, heads, 8), ...lines(rowsB).slice(0, 1)];
    expect(await problemsOf(all)).toEqual(['line 10 stands after the checkpoint']);
  });

  it('that counts other rows than there are is told, though each chain is in order', async () => {
    for (const [rows, count] of [
      [9, '9 rows'],
      [1, '1 row'],
    ] as const)
      expect(await problemsOf([...lines([...rowsA, ...rowsB]), await checkpoint(edge, heads, rows)])).toEqual([
        `export the checkpoint counts ${count}, the export has 8`,
      ]);
  });

  it('may name either name of its algorithm (RFC 8037, RFC 9864)', async () => {
    const payload = new TextEncoder().encode(JSON.stringify({ iss: 'https://edge.example', heads, rows: 8 }));
    const jws = await new CompactSign(payload)
      .setProtectedHeader({ alg: 'Ed25519', kid: 'edge', typ: 'keywarden-checkpoint+jwt' })
      .sign(edge.privateKey);
    const keys = { keys: (jwks?.keys ?? []).map(({ alg: _, ...key }) => key) };
    expect(await verifyExport([...lines([...rowsA, ...rowsB]), checkpointLineOf(jws)], keys)).toMatchObject({
      ok: true,
      checkpoint: 'verified',
    });
  });

  it('is signed by no other algorithm, whatever keys are given', async () => {
    const other = await generateKeyPair('ES256');
    const payload = new TextEncoder().encode(JSON.stringify({ iss: 'https://edge.example', heads, rows: 8 }));
    // Its signature is as long as ours: its one spelling is no reason to refuse it.
    const jws = await new CompactSign(payload)
      .setProtectedHeader({ alg: 'ES256', kid: 'edge', typ: 'keywarden-checkpoint+jwt' })
      .sign(other.privateKey);
    const keys = { keys: [{ ...(await exportJWK(other.publicKey)), kid: 'edge', alg: 'ES256' }] };
    expect(await problemsOf([...lines([...rowsA, ...rowsB]), checkpointLineOf(jws)], keys)).toEqual([
      'line 9 the checkpoint is not signed by the given keys',
    ]);
  });

  it('that is not valid says why, and calls no ledger unknown for it', async () => {
    const all = (seal: string) => problemsOf([...lines(rowsA), ...lines(rowsB), seal]);
    expect(await all(await checkpoint(stranger, heads, 8))).toEqual([
      'line 9 the checkpoint is not signed by the given keys',
    ]);
    expect(await all(await checkpoint(edge, heads, 8, 'at+jwt'))).toEqual([
      'line 9 the checkpoint is a JWS of another type: at+jwt',
    ]);
    expect(await all(checkpointLineOf('x'))).toEqual(['line 9 the checkpoint is no JWS']);
    const other = { keys: (jwks?.keys ?? []).map((key) => ({ ...key, kid: 'other' })) };
    expect(await problemsOf([...lines(rowsA), await checkpoint(edge, heads, 8)], other)).toEqual([
      'line 6 the checkpoint is signed by the key edge, which is not among the given ones',
    ]);
  });

  it.each([
    ['no heads', {}],
    ['heads that are no list', { heads: 5, rows: 8 }],
    ['half a head', { heads: [{ ledger: A }], rows: 8 }],
    ['a cut without a hash', { heads: [{ ...heads[0], cut: { seq: 1 } }], rows: 8 }],
    ['no number of rows', { heads }],
    ['a time that there is not', { heads, rows: 8, iat: 1e20 }],
    ['nothing', null],
  ])('that holds %s is bad, signed or not', async (_, content) => {
    const payload = new TextEncoder().encode(JSON.stringify(content));
    const jws = await new CompactSign(payload)
      .setProtectedHeader({ alg: 'EdDSA', kid: 'edge', typ: 'keywarden-checkpoint+jwt' })
      .sign(edge.privateKey);
    for (const keys of [jwks, null])
      expect(await problemsOf([...lines(rowsA), checkpointLineOf(jws)], keys)).toEqual([
        'line 6 the checkpoint does not say what a checkpoint says',
      ]);
  });
});

describe('threat: somebody edits an export and keeps its checkpoint', () => {
  const whole = async (): Promise<string[]> => [...lines([...rowsA, ...rowsB]), await checkpoint(edge, heads, 8)];
  const edited = async (edit: (all: string[]) => LineRead[]): Promise<string[]> => problemsOf(edit(await whole()));

  it.each<[string, (all: string[]) => LineRead[], string[]]>([
    [
      'a note in a row',
      (all) => all.with(1, (all[1] as string).replace('{', '{"note":"approved",')),
      ['line 2 has more than the edge writes: "note"'],
    ],
    [
      'a second value before the true one',
      (all) => all.with(1, (all[1] as string).replace('"decision":', '"decision":"deny","decision":')),
      ['line 2 names "decision" more than once: readers would disagree about the value'],
    ],
    [
      'a second value after the true one',
      (all) => all.with(1, (all[1] as string).replace('"decision":"allow"', '"decision":"allow","decision":"deny"')),
      [
        'line 2 names "decision" more than once: readers would disagree about the value',
        'a 2 altered: its content does not give its hash',
      ],
    ],
    [
      'a null left out',
      (all) => all.with(1, (all[1] as string).replace('"agent":"agent-1",', '')),
      ['line 2 lacks "agent"', 'a 2 missing'],
    ],
    [
      'a line that cannot be read',
      (all) => all.with(1, 'x'),
      [expect.stringMatching(/^line 2 is no JSON/), 'a 2 missing'],
    ],
    [
      'a line that was not even text',
      (all: LineRead[]) => all.with(1, { unreadable: 'is not UTF-8' }),
      ['line 2 is not UTF-8', 'a 2 missing'],
    ],
    ['a line of spaces', (all) => all.toSpliced(1, 0, '  '), [expect.stringMatching(/^line 2 is no JSON/)]],
    ['a ledger removed', (all) => all.toSpliced(5, 3), ['b 1 missing']],
    [
      'the checkpoint removed',
      (all) => all.slice(0, -1),
      ['export there is no checkpoint: the end of the export is cut off'],
    ],
    ['cut after a line', (all) => all.slice(0, 4), ['export there is no checkpoint: the end of the export is cut off']],
    [
      'cut within a line',
      (all) => [...all.slice(0, 3), (all[3] as string).slice(0, 100)],
      [expect.stringMatching(/^line 4 is no JSON/), 'export there is no checkpoint: the end of the export is cut off'],
    ],
    [
      'a copy of the checkpoint first',
      (all) => [all.at(-1) as string, ...all.slice(0, 1)],
      ['line 2 stands after the checkpoint', 'a 1 missing', 'b 1 missing'],
    ],
  ])('%s', async (_, edit, told) => {
    expect(await edited(edit)).toEqual(told);
  });

  it('empty lines are harmless: nobody takes them for a record; lines are counted with them', async () => {
    expect(await edited((all) => all.flatMap((line) => ['', line, '']))).toEqual([]);
    expect(await edited((all) => ['', '', ...all.with(0, 'x')])).toContainEqual(
      expect.stringMatching(/^line 3 is no JSON/),
    );
  });

  it('a head of the signed checkpoint removed or altered breaks its signature', async () => {
    for (const alter of [
      (content: { heads: object[] }) => ({ ...content, heads: content.heads.slice(1) }),
      (content: { heads: object[] }) => ({ ...content, heads: [{ ...content.heads[0], seq: 4 }, content.heads[1]] }),
    ])
      expect(
        await edited((all) => {
          const { jws } = JSON.parse(all.at(-1) as string) as { jws: string };
          const [header, payload, signature] = jws.split('.') as [string, string, string];
          const content = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { heads: object[] };
          const forged = Buffer.from(JSON.stringify(alter(content))).toString('base64url');
          return all.with(-1, checkpointLineOf(`${header}.${forged}.${signature}`));
        }),
      ).toEqual(['line 9 the checkpoint is not signed by the given keys']);
  });

  it('rows planted where the retention had cut are told, well chained as they are', async () => {
    const cut = { seq: 3, hash: (rowsA[2] as AuditRow).hash };
    const seal = await checkpoint(edge, [{ ...headOf(rowsA, A), cut }], 2);
    const left = lines(rowsA.slice(3));
    expect(await problemsOf([...left, seal])).toEqual([]);
    const forged = linked({ ...(rowsA[0] as AuditRow), agent: 'scapegoat' });
    expect(await problemsOf([exportLineOf(forged), ...left, seal])).toEqual([
      expect.stringMatching(/^a 1 planted: .* up to 3 were removed/),
    ]);
  });

  it('of thousands of problems the first thousand are told, the rest is counted, and the end is still read', async () => {
    const junk = Array.from({ length: 1500 }, () => 'x');
    const result = await verifyExport([...junk, ...(await whole())], jwks);
    expect(result).toMatchObject({ ok: false, rows: 8, checkpoint: 'verified' });
    expect(result.problems).toHaveLength(1001);
    expect(result.problems.at(-1)).toEqual({ line: null, ledger: null, seq: null, problem: '500 more problems' });
  });
});
