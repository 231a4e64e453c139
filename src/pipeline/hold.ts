import { askDesk, waitAtDesk } from '../approvals/client.ts';
import type { GrantedApproval } from '../approvals/contract.ts';
import type { Denial } from '../denial.ts';
import type { Edge } from '../edge.ts';
import { type Fault, fault } from '../fault.ts';
import { peek } from '../ledger/client.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { Authorized, Held } from './call.ts';
import { waitOf } from './prefer.ts';
import { questionOf, shownOf } from './question.ts';

export interface NotHeld {
  readonly reason: Denial | Fault;
  readonly fields: Readonly<Record<string, string>>;
}

/** A wait at the desk ends after this and is begun again: so it survives the desk's restart, and none is left behind long. */
const SLICE_MS = 10_000;
const FLOOD_RETRY_SECONDS = 60;

/**
 * Step 3: a call that a person must agree to waits here for a while. Its going away ends the wait, not the question.
 *
 * What comes back is a yes that the ledger will count: not yet its use. So a call that is lost between here and there has
 * used nothing, and a second one with the same yes is refused there (docs/decisions/0007).
 */
export async function hold(authorized: Authorized, edge: Edge): Promise<Result<Held, NotHeld>> {
  const { approval, call, principal } = authorized;
  if (approval === null) return ok({ authorized, grant: null, fields: {} } as Held);

  const standing = await peek(call.env, principal, []);
  if (!standing.ok) return no(standing.error);
  if (standing.value.revokedBy !== null) return no({ kind: 'token_revoked', by: standing.value.revokedBy });

  const question = questionOf(authorized, approval, edge);
  const ask = { question, shown: shownOf(authorized, approval, edge), requestId: call.requestId };
  const wait = waitOf(call.fields.get('prefer') ?? null);
  const deadline = Date.now() + wait.ms;
  const capability = question.capability;
  for (let after: string | null = null; ; ) {
    const answer = await askDesk(call.env, { ...ask, after });
    if (!answer.ok) return no(answer.error, wait.fields);
    switch (answer.value.kind) {
      case 'granted':
        return granted(answer.value.grant);
      case 'denied':
        return no({ kind: 'approval_denied', capability, approval: answer.value.id }, wait.fields);
      case 'used':
        return no({ kind: 'approval_used', approval: answer.value.id }, wait.fields);
      case 'flood': {
        const { bound, most } = answer.value;
        return no({ kind: 'approval_flood', capability, bound, most, retryAfterSeconds: FLOOD_RETRY_SECONDS });
      }
      case 'pending': {
        const { id } = answer.value;
        const ended = await waited(id);
        const fields = { ...wait.fields, ...statusFields(call.publicOrigin, id) };
        if (typeof ended !== 'string') return no(ended, fields);
        if (ended === 'time') return no({ kind: 'approval_pending', capability, approval: id }, fields);
        if (ended === 'denied') return no({ kind: 'approval_denied', capability, approval: id }, fields);
        if (ended === 'expired') return no({ kind: 'approval_expired', capability, approval: id }, fields);
        if (ended === 'used') return no({ kind: 'approval_used', approval: id }, fields);
        after = id;
      }
    }
  }

  function granted(grant: GrantedApproval): Result<Held, NotHeld> {
    // Held for two minutes, the token may have come to its end.
    if (principal.expiresAtMs <= Date.now()) return no({ kind: 'token_expired' });
    return ok({ authorized, grant, fields: wait.fields } as Held);
  }

  /** `again`: ask once more, a yes may be there. */
  async function waited(id: string): Promise<'again' | 'time' | 'denied' | 'expired' | 'used' | Fault> {
    for (;;) {
      const left = deadline - Date.now();
      if (left <= 0) return 'time';
      const { signal } = call.request;
      const outcome = await Promise.race([waitAtDesk(call.env, id, Math.min(left, SLICE_MS)), goneAway(signal)]);
      if (outcome === 'gone') return fault('client_cancelled', 'while its approval was pending');
      if (!outcome.ok) return outcome.error;
      if (outcome.value === 'approved' || outcome.value === 'kin') return 'again';
      if (outcome.value === 'full') return 'time';
      if (outcome.value !== 'pending') return outcome.value;
    }
  }
}

const no = (reason: Denial | Fault, fields: Readonly<Record<string, string>> = {}): Result<never, NotHeld> =>
  err({ reason, fields });

const goneAway = (signal: AbortSignal): Promise<'gone'> =>
  signal.aborted
    ? Promise.resolve('gone')
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve('gone'), { once: true }));

/** Where the client may look (RFC 8631 §4.1 `status`). */
const statusFields = (publicOrigin: string, id: string): Readonly<Record<string, string>> => ({
  link: `<${publicOrigin}/v1/approvals/${id}>; rel="status"`,
  'keywarden-approval': id,
});
