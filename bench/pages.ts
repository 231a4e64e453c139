/**
 * Do the console's pages stay quick over a long history?
 *
 *   node bench/pages.ts [--rows 1000000] [--approvals 10000] [--rounds 15]
 *
 * Fills local D1 with audit rows of 50 agents and 5,000 sessions, and the desk with approvals, a sixth of them pending; then
 * asks our own API for what each page shows: medians in ms, over the wire, first page and a page far back. Audit rows and
 * sessions are made by SQL: nothing here depends on their chain. Approvals are asked and decided at the desk itself.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type Ask,
  type AskAnswer,
  DESK_NAME,
  type DecideAnswer,
  type DecideRequest,
} from '../src/approvals/contract.ts';
import { CREDENTIAL, OPERATIONS } from './contenders.ts';
import { build, startKeywarden } from './keywarden.ts';
import { startUpstream } from './nginx.ts';

const MOST_MS = 300;
const SESSIONS = 5_000;
const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    approvals: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '15' },
  },
});
const rows = Number(values.rows);
const rounds = Number(values.rounds);
const directory = mkdtempSync(join(tmpdir(), 'keywarden-pages-'));
const upstream = await startUpstream(join(directory, 'upstream'), CREDENTIAL);
const keywarden = await startKeywarden(await build(directory, upstream.url, OPERATIONS), join(directory, 'storage'));
try {
  const db = await keywarden.miniflare.getD1Database('DB');
  const start = Date.now() - 30 * 86_400_000;
  const step = Math.floor((30 * 86_400_000) / rows);
  for (let first = 0; first < rows; first += 50_000) {
    const count = Math.min(50_000, rows - first);
    await db
      .prepare(
        `WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
         INSERT INTO audit (ledger, seq, at, event, request_id, agent, session, token_id, capability, service, method, path,
           query_names, decision, reason, status, request_bytes, response_bytes, duration_ms, redactions, request_hash,
           policy_hash, operator, detail, prev_hash, hash)
         SELECT printf('%064d', i % 50), i / 50 + 1, ?3 + i * ?4,
           CASE WHEN i % 20 = 0 THEN 'call.denied' WHEN i % 2 = 0 THEN 'call.admitted' ELSE 'call.completed' END,
           printf('%08x-0000-7000-8000-%012x', i, i), 'agent-' || (i % 50), NULL, 'token-' || (i % 500),
           CASE WHEN i % 3 = 0 THEN 'bench:read_charge' ELSE 'bench:r' || (i % 200) END, 'bench', 'GET',
           '/v1/charges/ch_' || i, '', CASE WHEN i % 20 = 0 THEN 'deny' WHEN i % 2 = 0 THEN 'allow' END,
           CASE WHEN i % 20 = 0 THEN 'rate_limited' END, 200, 0, 200, 3, 0, printf('%064x', i), printf('%064x', 1), NULL,
           '{}', printf('%064x', i), printf('%064x', i + 1) FROM n`,
      )
      .bind(first, first + count, start, step)
      .run();
  }
  await db
    .prepare(
      `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
       INSERT INTO sessions (session, agent, backend, host, program, capabilities, key, started_by, started_at, deadline_at,
         last_seen_at, sequence, counters, ended_at, reason, exit_code, absence_proven, start_noted, end_noted)
       SELECT printf('kw-%08x', i), 'agent-' || (i % 50), 'namespace', 'host', 'python3', '["bench:read_charge"]', '{}', 'bench',
         ?2 + i * ?3, ?2 + i * ?3 + 900000, ?2 + i * ?3 + 60000, 1, NULL,
         CASE WHEN i % 100 > 0 THEN ?2 + i * ?3 + 60000 END, CASE WHEN i % 100 > 0 THEN 'exited' END,
         CASE WHEN i % 100 > 0 THEN 0 END, 1, 1, 1 FROM n`,
    )
    .bind(SESSIONS, start, Math.floor((30 * 86_400_000) / SESSIONS))
    .run();
  const asked = await fillDesk(keywarden.miniflare, Number(values.approvals));
  const deep = await farBack('/v1/approvals?limit=50', 20);
  const middle = new Date(start + (rows / 2) * step).toISOString();
  const pages: Record<string, string> = {
    'audit: newest': '/v1/audit?limit=50',
    'audit: one agent': '/v1/audit?limit=50&agent=agent-7',
    'audit: one capability': '/v1/audit?limit=50&capability=bench:r17',
    'audit: one agent and one capability': '/v1/audit?limit=50&agent=agent-7&capability=bench:r7',
    'audit: denied': '/v1/audit?limit=50&decision=deny',
    'audit: denied of one agent': '/v1/audit?limit=50&decision=deny&agent=agent-0',
    'audit: until the middle': `/v1/audit?limit=50&until=${middle}`,
    'audit: one request': '/v1/audit?limit=50&request_id=00000001-0000-7000-8000-000000000001',
    'audit: a text that is there': '/v1/audit?limit=50&text=charges',
    'audit: a text that is nowhere': '/v1/audit?limit=50&text=nowhere-at-all',
    'audit: an agent that is none': '/v1/audit?limit=50&agent=nobody',
    sessions: '/v1/sessions?limit=50',
    approvals: '/v1/approvals?limit=50',
    'approvals: pending': '/v1/approvals?limit=50&state=pending',
    'approvals: denied of one agent': '/v1/approvals?limit=50&state=denied&agent=agent-7',
    'approvals: twenty pages back': deep,
    'approvals: one, with what the agent did': `/v1/approvals/${asked}`,
    'stop: what an agent would lose': '/v1/stops/preview?scope=agent&agent=agent-7',
    'stop: what everything would lose': '/v1/stops/preview?scope=everything',
    metrics: '/metrics',
    policies: '/v1/policies',
    signals: '/v1/signals',
  };
  console.log(`| ${rows.toLocaleString('en')} audit rows | median ms | most ms | |\n| --- | --: | --: | --- |`);
  for (const [name, path] of Object.entries(pages)) {
    const times: number[] = [];
    let status = 0;
    for (let round = 0; round < rounds; round++) {
      const begun = performance.now();
      const response = await keywarden.operate(path);
      status = response.status;
      await response.arrayBuffer();
      times.push(performance.now() - begun);
    }
    times.sort((a, b) => a - b);
    const median = times[Math.floor(times.length / 2)] as number;
    if (status === 200 && median > MOST_MS) process.exitCode = 1;
    const said = status !== 200 ? `status ${status}` : median <= MOST_MS ? 'PASS' : '**FAIL**';
    console.log(`| ${name} | ${median.toFixed(1)} | ${(times.at(-1) as number).toFixed(1)} | ${said} |`);
  }
} finally {
  await keywarden.stop();
  await upstream.stop();
  rmSync(directory, { recursive: true, force: true });
}

/** Asks for approvals of 100 agents and decides five sixths of them; the last one's id. */
async function fillDesk(miniflare: typeof keywarden.miniflare, count: number): Promise<string> {
  const desk = (await miniflare.getDurableObjectNamespace('APPROVALS')) as unknown as {
    idFromName(name: string): unknown;
    get(id: unknown): {
      ask(ask: Ask): Promise<AskAnswer>;
      decide(one: DecideRequest, id: string): Promise<DecideAnswer>;
    };
  };
  const stub = desk.get(desk.idFromName(DESK_NAME));
  let last = '';
  for (let i = 0; i < count; i += 1) {
    const agent = `agent-${i % 100}`;
    const answer = await stub.ask({
      question: {
        agent,
        session: null,
        tokenId: `token-${i}`,
        tokenIssuedAtMs: Date.now(),
        tokenExpiresAtMs: Date.now() + 900_000,
        capability: 'bench:refund',
        binding: i.toString(16).padStart(64, '0'),
        alikeKey: null,
        alikeCount: 0,
        alikeForMs: 0,
        count: 1,
        ttlMs: 3_600_000,
        reviewers: null,
        separate: false,
      },
      shown: {
        service: 'bench',
        service_title: 'Bench',
        capability_title: 'Refund a charge',
        capability_description: '',
        operation: 'POST /v1/refunds',
        because: 'body.amount > 1000',
        method: 'POST',
        url: `https://bench.example/v1/refunds?n=${i}`,
        headers: [],
        body: { content_type: null, bytes: 0, sha256: '0'.repeat(64), form: 'none', value: null, unreadable: null },
        pattern: null,
        policy_hash: '0'.repeat(64),
      },
      requestId: crypto.randomUUID(),
      after: null,
    });
    if (answer.kind !== 'pending') throw new Error(`the desk answered ${JSON.stringify(answer)}`);
    last = answer.id;
    if (Math.floor(i / 100) % 6 === 0) continue;
    const decider = { operator: 'bench', names: [], admin: true, minted: false };
    const verdict = i % 2 === 0 ? 'approve' : 'deny';
    const said = await stub.decide(
      { id: last, decider, decision: { verdict, scope: 'once', via: 'cli', reason: null }, link: null },
      crypto.randomUUID(),
    );
    if (said.kind !== 'ok') throw new Error(`the desk answered ${JSON.stringify(said)}`);
  }
  return last;
}

/** The list's address so many pages back. */
async function farBack(path: string, pages: number): Promise<string> {
  let address = path;
  for (let page = 0; page < pages; page += 1) {
    const { next_cursor } = (await (await keywarden.operate(address)).json()) as { next_cursor: string | null };
    if (next_cursor === null) break;
    address = `${path}&cursor=${encodeURIComponent(next_cursor)}`;
  }
  return address;
}
