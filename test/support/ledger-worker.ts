/** The least worker that the ledger's tests need: the two Durable Object classes, and nothing to fetch. */
export { LedgerDirectory } from '../../src/ledger/directory.ts';
export { Ledger } from '../../src/ledger/ledger.ts';

export default { fetch: () => new Response(null, { status: 404 }) };
