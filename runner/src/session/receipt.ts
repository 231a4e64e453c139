import { createHash, createPrivateKey, type JsonWebKey, sign } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { RECEIPT_TYPE, SessionReceipt } from '../../../src/protocol.ts';
import { Failure } from '../failure.ts';
import type { SigningJwk } from '../state/keys.ts';
import { codeOf, readPrivateFile, writePrivateFile } from '../state/private-file.ts';
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

export type Verification =
  | { readonly ok: true; readonly receipt: SessionReceipt; readonly sha256: string }
  | { readonly ok: false; readonly why: string };

/**
 * Verifies a receipt offline, by a key that the verifier trusts: never by one from the receipt itself.
 *
 * @param x  The runner's public key: `x` of its Ed25519 JWK.
 */
export async function verifyReceiptFile(text: string, where: string, x: string): Promise<Verification> {
  const { jws, receipt } = parseReceiptFile(text, where);
  const { compactVerify, importJWK } = await import('jose');
  let payload: string;
  try {
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x, alg: 'EdDSA' }, 'EdDSA');
    const verified = await compactVerify(jws, key, { algorithms: ['EdDSA'] });
    if (verified.protectedHeader.typ !== RECEIPT_TYPE) return { ok: false, why: 'it is signed, but no receipt' };
    payload = Buffer.from(verified.payload).toString('utf8');
  } catch {
    return { ok: false, why: 'the signature is not by this key, or the receipt was altered' };
  }
  const stated = jsonOf(payload);
  const parsed = SessionReceipt.safeParse(stated);
  if (!parsed.success) return { ok: false, why: 'it is signed, but of a form that this keywarden does not know' };
  const whole = receipt === null ? { jws } : { receipt: stated, jws };
  const same = receipt === null || JSON.stringify(receipt) === JSON.stringify(stated);
  if (text.trim() !== jws && !(same && squeezed(text) === squeezed(JSON.stringify(whole)))) {
    return { ok: false, why: 'what the file shows is not what was signed' };
  }
  return { ok: true, receipt: parsed.data, sha256: sha256Of(jws) };
}

/** However it is laid out. Of a member that is there twice a parser shows but one: so the letters are compared, too. */
const squeezed = (text: string): string => text.replace(/\s+/g, '');

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Reads a file of a receipt that a person named. */
export function readReceiptFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const why = codeOf(error) === 'ENOENT' ? 'there is no such file' : (error as Error).message;
    throw new Failure(`cannot read ${path}: ${why}`, 'name a file of a receipt, or the id of a session that ran here');
  }
}
