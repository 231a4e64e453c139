import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CANONICAL_COLUMNS, CANONICAL_VERSION, canonicalRow, linkHash } from '../../src/audit/chain.ts';
import { chainVerifier, verifyChain } from '../../src/audit/chain-verifier.ts';
import type { AuditRow } from '../../src/audit/event.ts';
import { chainOf, headOf, linked } from '../support/audit-rows.ts';

const L = 'f'.repeat(64);
const good = chainOf(L, 6);
const head = headOf(good, L);
const at = (index: number): AuditRow => good[index] as AuditRow;

describe('the hash', () => {
  it('is that of the whole row, however long it is and whatever letters it has, and of nothing that was hashed before', () => {
    for (const canonical of ['["ä€😀"]', `["${'😀€ä'.repeat(20_000)}"]`, '["short again"]', '']) {
      const expected = createHash('sha256')
        .update(Buffer.from(at(2).prevHash, 'hex'))
        .update(canonical)
        .digest('hex');
      expect(linkHash(at(2).prevHash, canonical)).toBe(expected);
    }
  });

  it('takes no previous hash that is none', () => {
    for (const prevHash of ['', 'f'.repeat(63), `${'f'.repeat(63)}g`, 'F'.repeat(64)])
      expect(() => linkHash(prevHash, '[]')).toThrow(RangeError);
  });

  it("is SHA-256 of the previous hash's bytes and the canonical row, as another implementation computes it", () => {
    const row = at(2);
    const text = JSON.stringify([CANONICAL_VERSION, ...CANONICAL_COLUMNS.map((column) => row[column])]);
    expect(canonicalRow(row)).toBe(text);
    expect(createHash('sha256').update(Buffer.from(row.prevHash, 'hex')).update(text, 'utf8').digest('hex')).toBe(
      row.hash,
    );
  });

  it('covers every column', () => {
    expect([...CANONICAL_COLUMNS, 'prevHash', 'hash'].sort()).toEqual(Object.keys(at(0)).sort());
  });
});

describe('an untouched chain', () => {
  it('has no problems', () => expect(verifyChain(good, head)).toEqual([]));
  it('may be empty', () => expect(verifyChain([], headOf([], L))).toEqual([]));
});

describe('tampering is told by its row', () => {
  for (const column of [...CANONICAL_COLUMNS, 'hash'] as (keyof AuditRow)[]) {
    if (column === 'seq' || column === 'ledger') continue;
    it(`altered ${column}`, () => {
      const value = typeof at(2)[column] === 'number' ? 7_777 : 'x';
      const rows = good.map((row, index) => (index === 2 ? { ...row, [column]: value } : row));
      expect(verifyChain(rows, head)).toEqual([{ kind: 'altered', ledger: L, seq: 3 }]);
    });
    it(`${column} emptied to null`, () => {
      const rows = good.map((row, index) => (index === 2 ? ({ ...row, [column]: null } as AuditRow) : row));
      expect(verifyChain(rows, head)).toContainEqual({ kind: 'altered', ledger: L, seq: 3 });
    });
  }

  it('altered previous hash', () => {
    const rows = good.map((row, index) => (index === 2 ? { ...row, prevHash: 'not hex' } : row));
    expect(verifyChain(rows, head)).toEqual([{ kind: 'altered', ledger: L, seq: 3 }]);
  });

  it('altered with a fitting hash', () => {
    const rows = good.map((row, index) => (index === 2 ? linked({ ...row, decision: 'deny' }) : row));
    expect(verifyChain(rows, head)).toEqual([{ kind: 'replaced', ledger: L, seq: 3 }]);
  });

  it('the whole rest chained anew', () => {
    const rows = good.slice(0, 2);
    for (const row of good.slice(2))
      rows.push(linked({ ...row, agent: 'somebody', prevHash: (rows.at(-1) as AuditRow).hash }));
    expect(verifyChain(rows, head)).toEqual([{ kind: 'replaced', ledger: L, seq: 6 }]);
  });

  it('the first row dropped', () =>
    expect(verifyChain(good.slice(1), head)).toEqual([{ kind: 'missing', ledger: L, seq: 1, lastSeq: 1 }]));
  it('middle rows dropped', () =>
    expect(verifyChain([at(0), at(3), at(4), at(5)], head)).toEqual([
      { kind: 'missing', ledger: L, seq: 2, lastSeq: 3 },
    ]));
  it('dropped, and the rest numbered anew', () => {
    const rows = [at(0), ...good.slice(2).map((row) => ({ ...row, seq: row.seq - 1 }))];
    expect(verifyChain(rows, head)[0]).toEqual({ kind: 'altered', ledger: L, seq: 2 });
  });
  it('the tail dropped', () =>
    expect(verifyChain(good.slice(0, 4), head)).toEqual([{ kind: 'missing', ledger: L, seq: 5, lastSeq: 6 }]));
  it('all dropped', () => expect(verifyChain([], head)).toEqual([{ kind: 'missing', ledger: L, seq: 1, lastSeq: 6 }]));
  it('reordered', () =>
    expect(verifyChain([at(0), at(2), at(1), at(3), at(4), at(5)], head)).toEqual([
      { kind: 'reordered', ledger: L, seq: 2 },
    ]));
  it('numbers of two rows swapped', () => {
    const rows = [at(0), { ...at(2), seq: 2 }, { ...at(1), seq: 3 }, at(3), at(4), at(5)];
    expect(verifyChain(rows, head)).toEqual([
      { kind: 'altered', ledger: L, seq: 2 },
      { kind: 'altered', ledger: L, seq: 3 },
    ]);
  });
  it('duplicated', () =>
    expect(verifyChain([at(0), at(1), at(1), ...good.slice(2)], head)).toEqual([
      { kind: 'duplicated', ledger: L, seq: 2 },
    ]));
  it('inserted beyond the head, well chained', () => {
    const forged = linked({ ...at(5), seq: 7, prevHash: at(5).hash });
    expect(verifyChain([...good, forged], head)).toEqual([{ kind: 'inserted', ledger: L, seq: 7 }]);
  });
  it('inserted in the middle, the rest moved on and chained anew', () => {
    const rows = good.slice(0, 2);
    for (const row of [at(2), ...good.slice(2)])
      rows.push(linked({ ...row, seq: rows.length + 1, prevHash: (rows.at(-1) as AuditRow).hash }));
    const kinds = verifyChain(rows, head).map((problem) => `${problem.kind} ${problem.seq}`);
    expect(kinds).toContain('inserted 7');
    expect(kinds).toContain('replaced 6');
  });
  it('time that runs backwards, however well chained', () => {
    const rows = good.slice(0, 2);
    for (const row of good.slice(2))
      rows.push(linked({ ...row, at: row.at - (row.seq === 4 ? 100 : 0), prevHash: (rows.at(-1) as AuditRow).hash }));
    expect(verifyChain(rows, headOf(rows, L))).toEqual([{ kind: 'time_reversed', ledger: L, seq: 4 }]);
  });
  it('a row of another ledger', () => {
    const other = chainOf('e'.repeat(64), 6)[2] as AuditRow;
    expect(verifyChain([at(0), at(1), other, ...good.slice(3)], head)).toContainEqual({
      kind: 'altered',
      ledger: L,
      seq: 3,
    });
  });
  it('two things at once are both told', () => {
    const rows = [{ ...at(0), path: '/x' }, at(1), at(3), at(4)];
    expect(verifyChain(rows, head)).toEqual([
      { kind: 'altered', ledger: L, seq: 1 },
      { kind: 'missing', ledger: L, seq: 3, lastSeq: 3 },
      { kind: 'missing', ledger: L, seq: 6, lastSeq: 6 },
    ]);
  });
});

describe('rows that stand before the cut of the retention', () => {
  const cutHead = { ...head, cut: { seq: 3, hash: at(2).hash } };
  const told = (rows: readonly AuditRow[]) => verifyChain([...rows, ...good.slice(3)], cutHead);

  it('are none, or what an interrupted removal left: one piece up to the cut', () => {
    expect(told([])).toEqual([]);
    expect(told(good.slice(0, 3))).toEqual([]);
    expect(told(good.slice(1, 3))).toEqual([]);
  });

  it.each<[string, AuditRow[]]>([
    ['an altered one', [{ ...at(1), agent: 'x' }, at(2)]],
    ['one of another chain', [linked({ ...at(1), agent: 'x' }), at(2)]],
    ['a new last one', [at(1), linked({ ...at(2), agent: 'x' })]],
    ['some that do not reach the cut', [at(0), at(1)]],
    ['some with a gap', [at(0), at(2)]],
  ])('%s: planted', (_, rows) => {
    expect(told(rows)).toEqual([{ kind: 'planted', ledger: L, seq: rows[0]?.seq, cutSeq: 3 }]);
  });
});

describe('rows that are late fill their own gap and no other', () => {
  const long = chainOf(L, 9);
  const pick = (...seqs: number[]): AuditRow[] => seqs.map((seq) => long[seq - 1] as AuditRow);
  const toldOf = (rows: readonly AuditRow[]) =>
    verifyChain(rows, headOf(long, L)).map(({ kind, seq, ...rest }) => [
      kind,
      seq,
      ...('lastSeq' in rest ? [rest.lastSeq] : []),
    ]);

  it('one of two gaps, the first, the last and a middle row of a gap', () => {
    expect(toldOf(pick(1, 3, 5, 2, 6, 7, 8, 9))).toEqual([
      ['reordered', 2],
      ['missing', 4, 4],
    ]);
    expect(toldOf(pick(1, 6, 4, 7, 8, 9))).toEqual([
      ['reordered', 4],
      ['missing', 2, 3],
      ['missing', 5, 5],
    ]);
    expect(toldOf(pick(1, 6, 2, 5, 7, 8, 9))).toEqual([
      ['reordered', 2],
      ['reordered', 5],
      ['missing', 3, 4],
    ]);
  });

  it('and are altered as well, when they are', () => {
    const [second] = pick(2);
    expect(toldOf([...pick(1, 3), { ...(second as AuditRow), path: '/x' }, ...pick(4, 5, 6, 7, 8, 9)])).toEqual([
      ['altered', 2],
      ['reordered', 2],
    ]);
  });

  it('with a cut only what stands behind it is missing, and the first row must be linked to it', () => {
    const cut = { seq: 3, hash: (long[2] as AuditRow).hash };
    // As of an export: the head is known at its end alone.
    const told = (rows: readonly AuditRow[], at = cut) => {
      const verifier = chainVerifier(L);
      return rows.flatMap((row) => verifier.take(row)).concat(verifier.finish({ ...headOf(long, L), cut: at }));
    };
    expect(told(pick(4, 5, 6, 7, 8, 9))).toEqual([]);
    expect(told(pick(4, 6, 7, 8, 9))).toEqual([{ kind: 'missing', ledger: L, seq: 5, lastSeq: 5 }]);
    expect(told(pick(6, 7, 8, 9))).toEqual([{ kind: 'missing', ledger: L, seq: 4, lastSeq: 5 }]);
    expect(told([])).toEqual([{ kind: 'missing', ledger: L, seq: 4, lastSeq: 9 }]);
    // Of a ledger that has written nothing since.
    const nothing = chainVerifier(L).finish({ ledger: L, ...cut, cut });
    expect(nothing).toEqual([]);
    expect(told(pick(4, 5, 6, 7, 8, 9), { ...cut, hash: 'f'.repeat(64) })).toEqual([
      { kind: 'replaced', ledger: L, seq: 3 },
    ]);
    // What was removed is in no export: not even the last of it.
    expect(told(pick(3, 4, 5, 6, 7, 8, 9))).toEqual([{ kind: 'planted', ledger: L, seq: 3, cutSeq: 3 }]);
  });
});

it('memory stays bounded with thousands of gaps, and each of them is told', () => {
  const rows = chainOf(L, 1201).filter((row) => row.seq % 2 === 1);
  const verifier = chainVerifier(L);
  const early = rows.flatMap((row) => verifier.take(row));
  expect(early.map((problem) => problem.seq)).toEqual(Array.from({ length: 600 - 256 }, (_, i) => 2 * i + 2));
  const problems = early.concat(verifier.finish(null));
  expect(new Set(problems.map((problem) => problem.seq)).size).toBe(600);
});
