import type { CallOutcome } from '../audit/event.ts';
import type { Env } from '../env.ts';
import { type Fault, fault } from '../fault.ts';
import { callObject, marksOf } from '../lib/object-call.ts';
import { err, ok, type Result } from '../lib/result.ts';
import {
  type AdmitAnswer,
  type AdmitCall,
  DIRECTORY_NAME,
  type DirectoryEntry,
  type FlushAnswer,
  type LedgerEvents,
  type LedgerPrincipal,
  type NamedLimit,
  type PruneAnswer,
  type RecordAnswer,
  type Revocation,
  type Standing,
} from './contract.ts';
import * as inFlight from './in-flight.ts';
import { type LedgerKey, ledgerNameOf } from './name.ts';
import { createOutbox } from './outbox.ts';

/** A call as the pipeline knows it; sending it again and what rides along are this file's business. */
export type AdmitRequest = Omit<AdmitCall, 'attempt' | 'outcomes' | 'inFlight'>;
type Bindings = Pick<Env, 'LEDGER'>;

/** Outcomes that ride on one call. */
const MAX_RIDING = 64;
const MAX_SWEPT = 500;
const SWEEP_DELAY_MS = 50;
/** A sweeper that has not stirred for so long is taken for dead, and another request takes over. */
const SWEEPER_PATIENCE_MS = 250;
const SWEEPER_ROUNDS = 60;

const outbox = createOutbox();
/** Unix ms at which the sweeper last stirred; null: there is none. */
let sweeperStirredAt: number | null = null;
let sweeperNumber = 0;

/**
 * Asks the agent's ledger: one Durable Object call, on which outcomes of the agent's earlier calls ride along.
 * `admitted` means that the intent is durable.
 */
export async function admit(env: Bindings, request: AdmitRequest): Promise<Result<AdmitAnswer, Fault>> {
  const ledger = ledgerNameOf({ kind: 'agent', agent: request.principal.agent });
  const now = Date.now();
  const outcomes = outbox.take(ledger, MAX_RIDING, now);
  const plain = { ...request, principal: plainOf(request.principal) };
  const working = inFlight.begin(ledger, request.requestId, now);
  const answer = await ask(
    env,
    ledger,
    async (stub, attempt) =>
      JSON.parse(
        await stub.admitText(JSON.stringify({ ...plain, attempt, outcomes, inFlight: working })),
      ) as AdmitAnswer,
  );
  if (!answer.ok || answer.value.effect !== 'admitted') inFlight.end(ledger, request.requestId);
  if (answer.ok) outbox.confirm(ledger, outcomes);
  else outbox.giveBack(ledger, outcomes);
  return answer;
}

/** Records what needs no admission: refused calls without a token, what operators did. What a full ledger did not take is a Fault. */
export async function record(
  env: Bindings,
  key: LedgerKey,
  events: Partial<Omit<LedgerEvents, 'attempt'>>,
): Promise<Result<null, Fault>> {
  const answer = await recordIn(env, ledgerNameOf(key), events);
  if (!answer.ok) return answer;
  if (answer.value.effect === 'full') return err(fault('ledger_full', `${answer.value.waitingRows} rows wait for D1`));
  return ok(null);
}

/** Revokes in one agent's ledger, effective on the next call. Repeating it changes nothing. */
export async function revoke(env: Bindings, agent: string, revocation: Revocation): Promise<Result<null, Fault>> {
  const answer = await ask(env, ledgerNameOf({ kind: 'agent', agent }), (stub) => stub.revoke(revocation));
  return answer.ok ? ok(null) : answer;
}

/** Where a principal stands; for `GET /v1/capabilities`. */
export function peek(
  env: Bindings,
  principal: LedgerPrincipal,
  limits: readonly NamedLimit[],
): Promise<Result<Standing, Fault>> {
  const ledger = ledgerNameOf({ kind: 'agent', agent: principal.agent });
  return ask(env, ledger, (stub) => stub.peek(plainOf(principal), limits) as Promise<Standing>);
}

/** Only what the ledger needs: a principal may carry more (a Set of capabilities), which would cross for nothing. */
const plainOf = ({ agent, session, tokenId, issuedAtMs, expiresAtMs }: LedgerPrincipal): LedgerPrincipal => ({
  agent,
  session,
  tokenId,
  issuedAtMs,
  expiresAtMs,
});

/** Why rows could not be asked for: the first ledger that does not answer, or null for the directory that knows them. */
export interface Silent {
  readonly fault: Fault;
  readonly ledger: Pick<DirectoryEntry, 'ledger' | 'agent'> | null;
}

/** Pushes one agent's outcomes and waiting rows to D1; for a reader of that agent's rows. */
export async function flushAgent(env: Bindings, agent: string): Promise<Result<FlushAnswer, Silent>> {
  const ledger = ledgerNameOf({ kind: 'agent', agent });
  await sendOutcomes(env, ledger);
  return flush(env, { ledger, agent });
}

/** Removes one ledger's rows older than `before` (Unix ms) from D1, a bounded number at once. */
export function prune(env: Bindings, ledger: string, before: number): Promise<Result<PruneAnswer, Fault>> {
  return ask(env, ledger, (stub) => stub.prune(before) as Promise<PruneAnswer>);
}

/** Pushes one ledger's waiting rows to D1 and tells its head. */
async function flush(
  env: Bindings,
  entry: Pick<DirectoryEntry, 'ledger' | 'agent'>,
): Promise<Result<FlushAnswer, Silent>> {
  const answer = await ask(env, entry.ledger, (stub) => stub.flush() as Promise<FlushAnswer>);
  return answer.ok ? answer : err({ fault: answer.error, ledger: { ledger: entry.ledger, agent: entry.agent } });
}

/**
 * Takes the outcome of an admitted call. It rides on the agent's next call, or is swept within about 50 ms; the caller does
 * not wait. An outcome that is lost with its isolate is closed by the ledger as `call.unknown`.
 */
export function settle(
  env: Bindings,
  ctx: Pick<ExecutionContext, 'waitUntil'>,
  agent: string,
  outcome: CallOutcome,
): void {
  const ledger = ledgerNameOf({ kind: 'agent', agent });
  inFlight.end(ledger, outcome.requestId);
  outbox.put(ledger, outcome);
  const now = Date.now();
  if (sweeperStirredAt !== null && now - sweeperStirredAt <= SWEEPER_PATIENCE_MS) return;
  sweeperStirredAt = now;
  ctx.waitUntil(sweep(env, ++sweeperNumber));
}

/** Sends all outcomes of this isolate now; for readers of the audit. */
export async function drainAll(env: Bindings): Promise<void> {
  await Promise.all(outbox.ledgers(Date.now()).map((ledger) => sendOutcomes(env, ledger)));
}

/** Every ledger ever used; `activeSince` narrows it to those where rows may wait. */
export async function listLedgers(
  env: Pick<Env, 'DIRECTORY'>,
  activeSince = 0,
): Promise<Result<DirectoryEntry[], Fault>> {
  const entries: DirectoryEntry[] = [];
  try {
    for (let after = ''; ; ) {
      const stub = env.DIRECTORY.get(env.DIRECTORY.idFromName(DIRECTORY_NAME));
      const page = (await stub.list({ after, activeSince, limit: 1000 })) as DirectoryEntry[];
      entries.push(...page);
      const end = page.at(-1);
      if (end === undefined || page.length < 1000) return ok(entries);
      after = end.ledger;
    }
  } catch (error) {
    return err(unavailable(error));
  }
}

/**
 * Makes D1 current for a verifier: this isolate's outcomes, then the rows of all ledgers (or those active since). Returns one
 * answer a ledger, the heads against which D1 is verified. All must answer: the first that does not is told instead.
 */
export async function flushAll(
  env: Bindings & Pick<Env, 'DIRECTORY'>,
  activeSince = 0,
): Promise<Result<FlushAnswer[], Silent>> {
  await drainAll(env);
  const entries = await listLedgers(env, activeSince);
  if (!entries.ok) return err({ fault: entries.error, ledger: null });
  const answers: FlushAnswer[] = [];
  for (let start = 0; start < entries.value.length; start += 16) {
    const page = await Promise.all(entries.value.slice(start, start + 16).map((entry) => flush(env, entry)));
    for (const answer of page) {
      if (!answer.ok) return answer;
      answers.push(answer.value);
    }
  }
  return ok(answers);
}

/** A ledger in which rows wait tells the directory so at least every minute, even while D1 does not take them. */
const SURELY_TOLD_MS = 120_000;

/**
 * The same for a reader of rows who checks no chain: a ledger that was silent for longer than two minutes has none waiting, and is
 * left asleep, however many there are. One that wakes just before its alarm rings may be read a second late.
 */
export const flushWaiting = (env: Bindings & Pick<Env, 'DIRECTORY'>): Promise<Result<FlushAnswer[], Silent>> =>
  flushAll(env, Date.now() - SURELY_TOLD_MS);

async function sweep(env: Bindings, number: number): Promise<void> {
  for (let round = 0; round < SWEEPER_ROUNDS && number === sweeperNumber; round += 1) {
    sweeperStirredAt = Date.now();
    // While ledgers cannot be reached the wait grows; still below the patience of the others.
    await new Promise((resolve) =>
      setTimeout(resolve, Math.min(SWEEP_DELAY_MS + round * 10, SWEEPER_PATIENCE_MS - 50)),
    );
    if (number !== sweeperNumber) return;
    sweeperStirredAt = Date.now();
    await drainAll(env);
    if (outbox.size === 0) break;
  }
  if (number === sweeperNumber) sweeperStirredAt = null;
}

async function sendOutcomes(env: Bindings, ledger: string): Promise<void> {
  const outcomes = outbox.take(ledger, MAX_SWEPT, Date.now());
  if (outcomes.length === 0) return;
  const answer = await recordIn(env, ledger, { outcomes });
  if (answer.ok) outbox.confirm(ledger, outcomes);
  else outbox.giveBack(ledger, outcomes);
}

function recordIn(
  env: Bindings,
  ledger: string,
  events: Partial<Omit<LedgerEvents, 'attempt'>>,
): Promise<Result<RecordAnswer, Fault>> {
  const { outcomes = [], refused = [], notes = [] } = events;
  return ask(
    env,
    ledger,
    (stub, attempt) => stub.record({ attempt, outcomes, refused, notes }) as Promise<RecordAnswer>,
  );
}

async function ask<T>(
  env: Bindings,
  ledger: string,
  send: (stub: ReturnType<Env['LEDGER']['get']>, attempt: number) => Promise<T>,
): Promise<Result<T, Fault>> {
  const answer = await callObject((attempt) => send(env.LEDGER.get(idOf(env, ledger)), attempt));
  return answer.ok ? answer : err(unavailable(answer.error));
}

const ids = new Map<string, DurableObjectId>();
const MAX_IDS = 10_000;

/** Ids are plain names of objects, no connections: safe to keep across requests, unlike stubs. */
function idOf(env: Bindings, ledger: string): DurableObjectId {
  let id = ids.get(ledger);
  if (id === undefined) {
    if (ids.size >= MAX_IDS) ids.clear();
    id = env.LEDGER.idFromName(ledger);
    ids.set(ledger, id);
  }
  return id;
}

function unavailable(error: unknown): Fault {
  const why = marksOf(error).overloaded
    ? 'overloaded'
    : error instanceof Error
      ? error.message.slice(0, 200)
      : 'unknown';
  console.error(`keywarden: error: a ledger is not available: ${why}`);
  return fault('ledger_unavailable', why, true);
}
