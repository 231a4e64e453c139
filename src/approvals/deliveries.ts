import { stateAt } from './state.ts';
import type { ApprovalStore } from './store.ts';
import { sendMessage, type WebhookSettings } from './webhook.ts';

const MAX_DELIVERIES = 8;

/** Tells reviewers of the questions that are due, once more of those that were not taken, later and later. */
export async function deliverDue(store: ApprovalStore, settings: WebhookSettings, now: number): Promise<void> {
  const isPending = (id: string, at: number): boolean => {
    const approval = store.get(id)?.approval;
    return approval !== undefined && stateAt(approval, at) === 'pending';
  };
  await Promise.all(
    store.dueDeliveries(now).map(async ({ approval: id, nonce, attempt }) => {
      const stored = store.get(id);
      if (stored === null || !isPending(id, now) || (await sendMessage(settings, stored, nonce, now)))
        return store.removeDelivery(id);
      if (attempt + 1 >= MAX_DELIVERIES) {
        console.error('keywarden: error: reviewers were not told of an approval: the webhook does not take it');
        return store.removeDelivery(id);
      }
      // Decided meanwhile: then its delivery is gone, and stays so.
      if (isPending(id, Date.now()))
        store.putDelivery({ approval: id, nonce, attempt: attempt + 1, at: Date.now() + 1000 * 2 ** attempt });
    }),
  );
}
