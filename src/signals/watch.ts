import { markDelivered, putAlerts, readMeasures, takeUndelivered } from '../db/signals.ts';
import type { Edge } from '../edge.ts';
import type { Env } from '../env.ts';
import { breachesOf } from './settings.ts';
import { sendAlert } from './webhook.ts';

/** Measures every agent against the thresholds, raises and clears alerts, and tells the webhook of new ones. */
export async function watchSignals(env: Env, { signals, alertWebhook }: Edge, now: number): Promise<void> {
  const measures = await readMeasures(env.DB, now - signals.windowMinutes * 60_000, now);
  await putAlerts(env.DB, breachesOf(measures, signals), now);
  if (alertWebhook === null) return;
  for (const alert of await takeUndelivered(env.DB)) {
    if (await sendAlert(alertWebhook, alert, now)) await markDelivered(env.DB, alert.id, now);
  }
}
