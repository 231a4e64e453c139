import { Hono } from 'hono';
import { exportLines, listRows, verifyStored } from '../audit/store.ts';
import { signCheckpoint } from '../capability/checkpoint.ts';
import { flushAgent, flushAll, flushWaiting, type Silent } from '../ledger/client.ts';
import type { FlushAnswer } from '../ledger/contract.ts';
import { type AuditListResponse, AuditQuery, type AuditVerifyResponse } from '../protocol.ts';
import { jsonOfRow } from './audit-row.ts';
import type { Api, ApiContext } from './context.ts';
import { operatorOnly } from './operator-only.ts';
import { refuse } from './refuse.ts';
import { NoQuery, queryOf } from './request.ts';

const TEXT_SEARCH_MS = 7 * 86_400_000;

export const audit = new Hono<Api>();

audit.use('*', operatorOnly('audit'));

/** Rows, newest first; what still waits in a ledger is flushed first, so that a call just made is listed. */
audit.get('/', async (c) => {
  const parsed = queryOf(c, AuditQuery);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const { request_id: requestId, since, until, limit, cursor, ...same } = parsed.value;
  const flushed = same.agent === undefined ? await flushWaiting(c.env) : await flushAgent(c.env, same.agent);
  if (!flushed.ok) return refuseSilent(c, flushed.error);
  const waiting = [flushed.value].flat().reduce((sum, answer) => sum + answer.waitingRows, 0);
  // No index finds a part of a text: without a time of its own such a search reads a week, and says so.
  const textSince = same.text !== undefined && since === undefined ? Date.now() - TEXT_SEARCH_MS : null;
  const page = await listRows(c.env.DB, {
    ...same,
    ...(requestId === undefined ? {} : { requestId }),
    ...(since === undefined ? {} : { since: Date.parse(since) }),
    ...(textSince === null ? {} : { since: textSince }),
    ...(until === undefined ? {} : { until: Date.parse(until) }),
    limit: limit ?? 50,
    ...(cursor === undefined ? {} : { cursor }),
  });
  if (!page.ok) return refuse(c, 400, 'cursor_invalid', page.error);
  return c.json({
    rows: page.value.rows.map(jsonOfRow),
    next_cursor: page.value.nextCursor,
    ...(waiting === 0 ? {} : { waiting_rows: waiting }),
    ...(textSince === null ? {} : { text_since: new Date(textSince).toISOString() }),
  } satisfies AuditListResponse);
});

/** Checks every chain in D1 against the live heads of the ledgers. */
audit.get('/verify', async (c) => {
  const query = queryOf(c, NoQuery);
  if (!query.ok) return refuse(c, 400, 'request_invalid', query.error);
  const flushed = await flushAll(c.env);
  if (!flushed.ok) return refuseSilent(c, flushed.error);
  const silent: Silent[] = [];
  const result = await verifyStored(c.env.DB, headsOf(flushed.value), async () => {
    const again = await flushAll(c.env);
    if (again.ok) return headsOf(again.value);
    silent.push(again.error);
    return [];
  });
  // Without the new heads every row that has come meanwhile would be taken for a planted one.
  if (silent[0] !== undefined) return refuseSilent(c, silent[0]);
  return c.json({ ...result, heads: headsOf(flushed.value) } satisfies AuditVerifyResponse);
});

/** All rows in the order of their chains, as NDJSON, and last a checkpoint signed by the edge. */
audit.get('/export', async (c) => {
  const query = queryOf(c, NoQuery);
  if (!query.ok) return refuse(c, 400, 'request_invalid', query.error);
  const flushed = await flushAll(c.env);
  if (!flushed.ok) return refuseSilent(c, flushed.error);
  const { keys, expected } = c.get('edge');
  const lines = exportLines(c.env.DB, headsOf(flushed.value), (checkpoint) =>
    signCheckpoint(checkpoint, keys, expected.issuer, Date.now()),
  );
  // Once the answer has begun nothing can be said but that it breaks off: a database that cannot be read is met before.
  const first = await lines.next();
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(`${first.value}\n`)),
    async pull(controller): Promise<void> {
      const next = await lines.next();
      if (next.done) controller.close();
      else controller.enqueue(encoder.encode(`${next.value}\n`));
    },
  });
  return new Response(body, { headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' } });
});

/** A ledger that does not answer says neither what waits in it nor where its chain ends. */
function refuseSilent(c: ApiContext, { fault, ledger }: Silent): Response {
  const whose = ledger?.agent == null ? 'of no agent' : `of the agent ${ledger.agent}`;
  const which = ledger === null ? 'directory of the ledgers' : `ledger ${ledger.ledger.slice(0, 12)}… ${whose}`;
  return refuse(
    c,
    503,
    fault.code,
    `The ${which} cannot be read: without it nothing is sure. The edge's log tells why.`,
  );
}

const headsOf = (answers: readonly FlushAnswer[]) => answers.map((answer) => answer.head);
