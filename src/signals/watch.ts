import { markDelivered, putAlerts, readMeasures, takeUndelivered } from '../db/signals.ts';
import type { Edge } from '../edge.ts';
import type { Env } from '../env.ts';
import { record } from '../ledger/client.ts';
import { ledgerNote } from '../ledger/note.ts';
import { type Breach, breachesOf } from './settings.ts';
import { sendAlert } from './webhook.ts';

/** Measures every agent against the thresholds, raises and clears alerts, and writes new ones into their agent's chain. */
export async function watchSignals(env: Env, { signals }: Edge, now: number): Promise<void> {
  const measures = await readMeasures(env.DB, now - signals.windowMinutes * 60_000, now);
  const raised = await putAlerts(env.DB, breachesOf(measures, signals), now);
  await Promise.all(raised.map((alert) => noteAlert(env, alert)));
}

/** Tells the webhook what it was not told yet. For the background: a receiver that does not answer must keep nobody waiting. */
export async function tellOfAlerts(env: Env, { alertWebhook }: Edge, now: number): Promise<void> {
  if (alertWebhook === null) return;
  const due = await takeUndelivered(env.DB, now);
  await Promise.all(
    due.map(async (alert) => {
      if (await sendAlert(alertWebhook, alert, now)) await markDelivered(env.DB, alert.id, now);
    }),
  );
}

async function noteAlert(
  env: Env,
  { id, agent, signal, value, threshold }: Breach & { readonly id: string },
): Promise<void> {
  const note = { event: 'signal.raised', requestId: id, agent, reason: signal, detail: { value, threshold } } as const;
  const recorded = await record(env, { kind: 'agent', agent }, { notes: [ledgerNote(note)] });
  // The alert itself stands in D1 and is told all the same.
  if (!recorded.ok) console.error(`keywarden: error: the alert ${id} (${signal}) could not be written into the chain`);
}
