/** The least worker that the tests of Durable Objects need: their classes, and nothing to fetch. */
export { ApprovalsDesk } from '../../src/approvals/desk.ts';
export { LedgerDirectory } from '../../src/ledger/directory.ts';
export { Ledger } from '../../src/ledger/ledger.ts';

export default { fetch: () => new Response(null, { status: 404 }) };
