import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ledgerNameOf } from '../../src/ledger/name.ts';

it('an agent whose id is spelled like another kind of ledger gets its own', () => {
  const names = new Set([
    ledgerNameOf({ kind: 'anonymous' }),
    ledgerNameOf({ kind: 'operators' }),
    ...['anonymous', 'operators', '', 'null', '"]', 'agent'].map((agent) => ledgerNameOf({ kind: 'agent', agent })),
  ]);
  expect(names.size).toBe(8);
});

it('two agents never share a ledger, and one always finds its own', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (one, other) => {
      const same = ledgerNameOf({ kind: 'agent', agent: one }) === ledgerNameOf({ kind: 'agent', agent: other });
      expect(same).toBe(one === other);
    }),
  );
});
