import { signatureOf } from '../approvals/link.ts';
import type { Env } from '../env.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { SignalAlert } from '../protocol.ts';

export interface AlertWebhook {
  readonly url: string;
  readonly secret: string;
}

const TIMEOUT_MS = 10_000;

/** @param dev Whether `http://` on loopback is tolerated. */
export function alertWebhookOf(
  { KEYWARDEN_ALERT_WEBHOOK_URL: url, KEYWARDEN_WEBHOOK_SECRET: secret }: Env,
  dev: boolean,
): Result<AlertWebhook | null, string> {
  if (!url) return ok(null);
  const parsed = URL.parse(url);
  const loopback = parsed?.protocol === 'http:' && ['127.0.0.1', 'localhost', '[::1]'].includes(parsed.hostname);
  if (parsed === null || !(parsed.protocol === 'https:' || (dev && loopback)))
    return err('KEYWARDEN_ALERT_WEBHOOK_URL is no https URL');
  if (!secret || secret.length < 32) return err('KEYWARDEN_WEBHOOK_SECRET is missing or shorter than 32 characters');
  return ok({ url, secret });
}

/**
 * Tells of one alert, signed as the approvals' messages are. It goes to an address of the operators' own configuration,
 * carries no credential of a service, and its answer is not read.
 */
export async function sendAlert({ url, secret }: AlertWebhook, alert: SignalAlert, now: number): Promise<boolean> {
  const words = `${alert.agent}: ${alert.signal.replaceAll('_', ' ')} at ${alert.value}, threshold ${alert.threshold}`;
  const body = JSON.stringify({
    text: `Keywarden: ${words}`,
    keywarden: { type: 'signal.raised', ...alert },
  });
  const timestamp = String(Math.floor(now / 1000));
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'keywarden-timestamp': timestamp,
        'keywarden-signature': signatureOf(secret, timestamp, body),
      },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    return response.status >= 200 && response.status < 300;
  } catch {
    return false;
  }
}
