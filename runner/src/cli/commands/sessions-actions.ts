import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type SessionCounters,
  SessionDetail,
  SessionJson,
  SessionListResponse,
  type SessionReceipt,
} from '../../../../src/protocol.ts';
import { edgeIfAny } from '../../client/edge-if-any.ts';
import { counted } from '../../counted.ts';
import { EXIT, Failure, usage } from '../../failure.ts';
import { backendOf } from '../../session/choose-backend.ts';
import { sumOf } from '../../session/counters.ts';
import { stateOfHolder } from '../../session/holder.ts';
import { listLeases, STOP_FILE } from '../../session/lease.ts';
import { hasReceipt, receiptJws } from '../../session/receipt.ts';
import { existingRunnerKey, runnerKey } from '../../session/runner-key.ts';
import { findRunnerState, type RunnerState } from '../../session/runner-state.ts';
import { sessionEdge } from '../../session/session-edge.ts';
import { isSessionId } from '../../session/session-id.ts';
import { sweepQuietly } from '../../session/sweep-leases.ts';
import { readReceiptFile, verifyReceiptFile } from '../../session/verify-receipt.ts';
import { printTable } from '../table.ts';
import { harmlessLine, nextPage, note, print, printJson } from '../terminal.ts';

import type { CommonOptions, ListOptions } from './sessions.ts';

/** Living and dead sessions of this host; swept first, so that what is shown is true. */
async function localSessions(
  state: RunnerState,
  stateDir: string | undefined,
): Promise<{ session_id: string; agent_id: string; runner_pid: number; deadline_at: string }[]> {
  // Said before anything else is tried there, when it cannot be read.
  listLeases(state);
  const { client } = edgeIfAny(stateDir);
  const edge = client === null ? null : sessionEdge(client);
  await sweepQuietly({ state, key: () => runnerKey(state), edge, backendOf, say: note });
  return listLeases(state).flatMap((found) =>
    found.kind === 'whole'
      ? [
          {
            session_id: found.session,
            agent_id: found.lease.agent,
            runner_pid: found.lease.runner.pid,
            deadline_at: new Date(found.lease.deadlineAt).toISOString(),
          },
        ]
      : [],
  );
}

export async function list(options: ListOptions): Promise<void> {
  const state = findRunnerState(options.state);
  const local = await localSessions(state, options.state);
  const { client, why } = edgeIfAny(options.state);
  let page: SessionListResponse = { sessions: [], next_cursor: null };
  let unasked: unknown = null;
  if (client === null) note(`no edge is asked: ${why}`);
  else {
    const query = { agent: options.agent, state: options.only, limit: options.limit, cursor: options.cursor };
    try {
      page = await client.get('/v1/sessions', SessionListResponse, query);
    } catch (error) {
      if (options.json) throw error;
      unasked = error;
    }
  }
  const { sessions } = page;
  const known = new Set(sessions.map((session) => session.session_id));
  // Those that the edge knows may be on a page before this one.
  const unknown = options.cursor === undefined ? local.filter(({ session_id: id }) => !known.has(id)) : [];
  if (options.json) return printJson({ ...page, local });
  if (sessions.length > 0) printSessions(sessions);
  for (const { session_id: id, agent_id: agent, runner_pid: pid } of client === null ? local : unknown)
    print(`${id}  ${harmlessLine(agent)}  on this host, runner ${pid}`);
  // Half of the answer: an error, but none that hides who lives here.
  if (unasked !== null) throw unasked;
  if (sessions.length + local.length === 0) note('no sessions');
  if (page.next_cursor !== null) note(`there are older sessions: ${nextPage(page.next_cursor)}`);
}

const COLUMNS = [
  'SESSION',
  'AGENT',
  'STATE',
  'STARTED',
  'PROGRAM',
  'DENIED',
  'OBSERVED',
  'BLOCKED',
  'DROPPED',
  'SOURCES',
  'END',
];
const COLOURS = { running: 'green', stopping: 'yellow', ended: 'dim', lost: 'red' } as const;

function printSessions(sessions: readonly SessionJson[]): void {
  const number = (n: number | null): string => (n === null ? '-' : String(n));
  const rows = sessions.map((s) =>
    [
      s.session_id,
      s.agent_id,
      s.state,
      s.started_at,
      s.program,
      number(s.denied),
      number(s.observed),
      number(s.blocked),
      number(s.dropped),
      s.sources.join(',') || (s.denied === null ? '-' : 'none'),
      s.reason === null ? '' : `${s.reason}${s.absence_proven ? '' : ', something was left'}`,
    ].map(harmlessLine),
  );
  printTable(rows, {
    heading: COLUMNS,
    whole: [0, 2, 3],
    colourOf: (r, c) => (c === 2 ? (COLOURS[sessions[r]?.state ?? 'ended'] ?? null) : null),
  });
}

const checkedId = (id: string): string => {
  if (!isSessionId(id)) throw usage(`${id} is no session id`, 'keywarden sessions list shows them');
  return id;
};

export async function show(id: string, options: CommonOptions): Promise<void> {
  checkedId(id);
  const state = findRunnerState(options.state);
  const { client } = edgeIfAny(options.state);
  if (client !== null) {
    try {
      const detail = await client.get(`/v1/sessions/${id}`, SessionDetail);
      if (options.json) return printJson(detail);
      printSessions([detail]);
      if (detail.receipt === null) return printCounters(detail.counters);
      // By the key that the runner announced before it started anything; the edge keeps it.
      const checked = await verifyReceiptFile(detail.receipt, id, detail.key.x);
      if (!checked.ok) throw new Failure(`the receipt of ${id} at the edge is not valid: ${checked.why}`, SHOW_JSON);
      return printReceipt(checked.receipt);
    } catch (error) {
      if (!(error instanceof Failure) || !hasReceipt(state, id)) throw error;
      note(`${error.message}; what follows is the receipt kept here`);
    }
  }
  const key = existingRunnerKey(state);
  const jws = receiptJws(state, id);
  if (key === null || jws === null) throw new Failure(`nothing is known of ${id} here`, 'keywarden sessions list');
  const checked = await verifyReceiptFile(jws, id, key.x);
  if (!checked.ok)
    throw new Failure(`the receipt of ${id} kept here is not valid: ${checked.why}`, 'ask the edge for its own');
  if (options.json) printJson(checked.receipt);
  else printReceipt(checked.receipt);
}

const SHOW_JSON = 'keywarden sessions show ID --json shows it as it is';

export async function stop(id: string, options: CommonOptions): Promise<void> {
  checkedId(id);
  const state = findRunnerState(options.state);
  const asked: string[] = [];
  const lease = listLeases(state).find((found) => found.kind === 'whole' && found.session === id);
  // The runner looks for this file; it is faster than the edge's word, and works without an edge.
  let unasked = `nothing of ${id} runs on this host`;
  if (lease?.kind === 'whole' && stateOfHolder(lease.lease.runner) !== 'dead') {
    try {
      writeFileSync(join(state.sessions, id, STOP_FILE), '', { mode: 0o600 });
      asked.push('runner');
    } catch (error) {
      unasked = `the runner of ${id} cannot be asked: ${(error as Error).message}`;
    }
  }
  const { client, why } = edgeIfAny(options.state);
  if (client !== null) {
    try {
      await client.post(`/v1/sessions/${id}/stop`, {}, SessionJson);
      asked.push('edge');
    } catch (error) {
      if (asked.length === 0 || !(error instanceof Failure)) throw error;
      note(`the runner is asked, the edge was not: ${error.message}`);
    }
  } else if (asked.length === 0)
    throw new Failure(`${unasked}, and no edge can be asked: ${why}`, [
      'keywarden sessions list shows what runs',
      'end it by a signal to its keywarden run, or name its state directory: --state DIR',
    ]);
  if (options.json) printJson({ session_id: id, asked });
  else note(`${id}: asked to end (${asked.join(' and ')})`);
}

export async function verify(file: string, options: CommonOptions & { key?: string }): Promise<number> {
  const state = findRunnerState(options.state);
  const text = readReceiptFile(isSessionId(file) && !existsSync(file) ? join(state.receipts, `${file}.json`) : file);
  const x = options.key ?? existingRunnerKey(state)?.x;
  if (x === undefined)
    throw new Failure('whose signature should it be? the state directory holds no runner.jwk', [
      'give the public key that the runner announced: --key X',
      'the edge tells it: keywarden sessions show ID --json',
    ]);
  if (!/^[A-Za-z0-9_-]{43}$/.test(x))
    throw usage('--key: 43 characters of base64url, the x of an Ed25519 JWK', 'keywarden sessions show ID --json');
  const checked = await verifyReceiptFile(text, file, x);
  if (options.json) printJson(checked);
  else if (checked.ok) printReceipt(checked.receipt);
  else {
    note(`NOT valid: ${checked.why}`);
    // It may be another's who asks from elsewhere.
    if (options.key === undefined) note(`the key is that of ${state.keyFile}: --state DIR or --key X names another`);
  }
  return checked.ok ? EXIT.ok : EXIT.negative;
}

function printReceipt(receipt: SessionReceipt): void {
  const { absence } = receipt;
  const found = Object.entries(absence.found).filter(([, n]) => n > 0);
  print(`valid: ${receipt.session_id} of ${harmlessLine(receipt.agent_id)} (${receipt.backend} on ${receipt.host})`);
  print(`ran    ${harmlessLine(receipt.started.argv.join(' '))}`);
  print(`ended  ${receipt.at.ended}: ${receipt.reason}, exit code ${receipt.exit_code ?? 'unknown'}`);
  print(
    absence.proven
      ? `left   nothing (looked at ${absence.looked_at})`
      : `left   ${found.map(([kind, n]) => counted(n, kind)).join(', ')}`,
  );
  if (receipt.token !== null)
    print(`token  ${receipt.token.revoked ? 'revoked' : 'not revoked: it dies at its own end'}`);
  printCounters(receipt.counters);
}

/** The sums in one line, then what they are made of. */
function printCounters(counters: SessionCounters | null): void {
  if (counters === null) return;
  const { denied, observed, blocked, dropped, sources } = counters;
  const sums = `${sumOf(denied)} denied, ${sumOf(observed)} observed, ${sumOf(blocked)} blocked, ${dropped} dropped`;
  print(`counted by ${sources.join(', ') || 'nothing'}: ${sums}`);
  for (const [name, rows] of Object.entries({ denied, observed }))
    for (const row of rows) print(`  ${name.padEnd(8)}  ${row.path_class}  ${row.syscall}  ${row.count}`);
  for (const row of blocked) print(`  blocked   ${row.syscall}  ${row.count}`);
}
