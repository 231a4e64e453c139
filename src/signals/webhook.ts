import type { Env } from '../env.ts';
import { ok, type Result } from '../lib/result.ts';
import type { SignalAlert } from '../protocol.ts';
import { postSigned, type Receiver, receiverOf } from '../webhook/signed.ts';

export type AlertWebhook = Receiver;

/** @param dev Whether `http://` on loopback is tolerated. */
export function alertWebhookOf(
  { KEYWARDEN_ALERT_WEBHOOK_URL: url, KEYWARDEN_WEBHOOK_SECRET: secret }: Env,
  dev: boolean,
): Result<AlertWebhook | null, string> {
  if (!url) return ok(null);
  return receiverOf('KEYWARDEN_ALERT_WEBHOOK_URL', url, secret, dev);
}

/** Tells of one alert, signed as the approvals' messages are. @returns Whether the receiver took it. */
export function sendAlert(settings: AlertWebhook, alert: SignalAlert, now: number): Promise<boolean> {
  const words = `${alert.agent}: ${alert.signal.replaceAll('_', ' ')} at ${alert.value}, threshold ${alert.threshold}`;
  return postSigned(settings, { text: `Keywarden: ${words}`, keywarden: { type: 'signal.raised', ...alert } }, now);
}
