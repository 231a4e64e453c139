import { sha256Hex } from '../lib/digest.ts';

/** Codes are stored by their hash alone. Times are Unix ms. */
export interface StoredSession {
  readonly keySha256: string;
  readonly expiresAt: number;
}

export async function insertConsoleSession(
  d1: D1Database,
  code: string,
  keySha256: string,
  now: number,
  expiresAt: number,
): Promise<void> {
  await d1.batch([
    d1.prepare('DELETE FROM console_sessions WHERE expires_at <= ?1').bind(now),
    d1.prepare('DELETE FROM sign_in_links WHERE expires_at <= ?1').bind(now),
    d1
      .prepare('INSERT INTO console_sessions (sha256, key_sha256, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)')
      .bind(sha256Hex(code), keySha256, now, expiresAt),
  ]);
}

export async function findConsoleSession(d1: D1Database, code: string, now: number): Promise<StoredSession | null> {
  return d1
    .prepare(
      'SELECT key_sha256 AS keySha256, expires_at AS expiresAt FROM console_sessions WHERE sha256 = ?1 AND expires_at > ?2',
    )
    .bind(sha256Hex(code), now)
    .first<StoredSession>();
}

export async function deleteConsoleSession(d1: D1Database, code: string): Promise<void> {
  await d1.prepare('DELETE FROM console_sessions WHERE sha256 = ?1').bind(sha256Hex(code)).run();
}

export async function insertLink(d1: D1Database, code: string, keySha256: string, expiresAt: number): Promise<void> {
  await d1
    .prepare('INSERT INTO sign_in_links (sha256, key_sha256, expires_at) VALUES (?1, ?2, ?3)')
    .bind(sha256Hex(code), keySha256, expiresAt)
    .run();
}

/** Takes a link away and tells whose it was; one statement, so that of two who redeem it one gets nothing. */
export async function redeemLink(d1: D1Database, code: string, now: number): Promise<string | null> {
  const row = await d1
    .prepare('DELETE FROM sign_in_links WHERE sha256 = ?1 AND expires_at > ?2 RETURNING key_sha256 AS keySha256')
    .bind(sha256Hex(code), now)
    .first<{ keySha256: string }>();
  return row?.keySha256 ?? null;
}
