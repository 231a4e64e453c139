import { createHash, createPrivateKey, type JsonWebKey, sign } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { RECEIPT_TYPE, type SessionReceipt } from '../../../src/protocol.ts';
import { Failure } from '../failure.ts';
import type { SigningJwk } from '../state/keys.ts';
import { readPrivateFile, writePrivateFile } from '../state/private-file.ts';
import type { Absence } from './absence.ts';
import { wireCounters } from './counters.ts';
import type { Ending, Lease } from './lease.ts';
import { namesIn, type RunnerState } from './runner-state.ts';
import { isSessionId } from './session-id.ts';

/** What a receipt says of a session, from its lease alone: a sweeper writes the same as the runner would have. */
export function receiptOf(
  lease: Lease,
  ending: Ending,
  absence: Absence['stated'],
  tokenRevoked: boolean,
  writtenBy: SessionReceipt['written_by'],
): SessionReceipt {
  const instant = (ms: number): string => new Date(ms).toISOString();
  return {
    version: 1,
    session_id: lease.session,
    agent_id: lease.agent,
    backend: lease.backend,
    host: lease.host,
    started: lease.started,
    at: {
      leased: instant(lease.leasedAt),
      running: lease.runningAt === null ? null : instant(lease.runningAt),
      ended: instant(ending.at),
      deadline: instant(lease.deadlineAt),
      duration_ms: ending.durationMs,
    },
    reason: ending.reason,
    exit_code: ending.exit?.code ?? null,
    signal: ending.exit?.signal ?? null,
    token: lease.tokenId === null ? null : { token_id: lease.tokenId, revoked: tokenRevoked },
    counters: lease.counters === null ? null : wireCounters(lease.counters),
    absence,
    written_by: writtenBy,
  };
}

/**
 * By the runtime's own Ed25519: every run signs, and would wait for a library to be loaded that only verifying needs.
 *
 * @returns a compact JWS (RFC 7515 §7.1, RFC 8037 §3.1) by the runner's key, of a type that is no token's.
 */
export function signReceipt(receipt: SessionReceipt, key: SigningJwk): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'EdDSA', typ: RECEIPT_TYPE, kid: key.kid })}.${part(receipt)}`;
  const { kty, crv, x, d } = key;
  const privateKey = createPrivateKey({ key: { kty, crv, x, d } as JsonWebKey, format: 'jwk' });
  return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`;
}

export const sha256Of = (jws: string): string => createHash('sha256').update(jws).digest('hex');

const fileOf = (state: RunnerState, session: string): string => join(state.receipts, `${session}.json`);
const pendingOf = (state: RunnerState, session: string): string => join(state.receipts, `${session}.pending`);

export const hasReceipt = (state: RunnerState, session: string): boolean => existsSync(fileOf(state, session));

/**
 * Writes `receipts/<id>.json`, and first a mark that it is still to be sent.
 *
 * @param pending  Whether there is an edge to send it to.
 */
export function writeReceipt(state: RunnerState, receipt: SessionReceipt, jws: string, pending: boolean): void {
  if (pending) writePrivateFile(pendingOf(state, receipt.session_id), '');
  writePrivateFile(fileOf(state, receipt.session_id), `${JSON.stringify({ receipt, jws }, null, 2)}\n`);
}

export const markSent = (state: RunnerState, session: string): void =>
  rmSync(pendingOf(state, session), { force: true });

/** Sessions whose receipt waits to be sent. */
export function pendingReceipts(state: RunnerState): string[] {
  return namesIn(state, state.receipts)
    .filter((name) => name.endsWith('.pending'))
    .map((name) => name.slice(0, -'.pending'.length))
    .filter(isSessionId);
}

/** The JWS of a session's receipt; null when there is none. */
export function receiptJws(state: RunnerState, session: string): string | null {
  const text = readPrivateFile(fileOf(state, session));
  return text === null ? null : parseReceiptFile(text, fileOf(state, session)).jws;
}

/** @throws Failure when the text is no file of a receipt. */
export function parseReceiptFile(text: string, where: string): { jws: string; receipt: unknown } {
  const trimmed = text.trim();
  // The bare JWS, as `GET /v1/sessions/{id}` gives it, serves as well.
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(trimmed)) return { jws: trimmed, receipt: null };
  try {
    const file = JSON.parse(trimmed) as { jws?: unknown; receipt?: unknown };
    if (typeof file?.jws === 'string') return { jws: file.jws, receipt: file.receipt ?? null };
  } catch {
    // Said below.
  }
  throw new Failure(`${where} holds no receipt`, 'keywarden run writes them to receipts/ in its state directory');
}
