import generated from './bundle.generated.json' with { type: 'json' };
import type { PolicyBundle } from './ruled.ts';

/** The compiled form that this Worker reads; `scripts/policies.ts` writes it at build time. */
const FORMAT = 1;

/** All policies, as they were when the Worker was built. */
export const bundle: PolicyBundle = bundleOf(generated);

/** Refuses at module load, so that a Worker with policies of another format never serves. */
function bundleOf(json: unknown): PolicyBundle {
  const { format, hash, services, agents } = json as Partial<PolicyBundle>;
  const sound = format === FORMAT && typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash);
  if (!sound || typeof services !== 'object' || typeof agents !== 'object') {
    throw new Error(`the policy bundle is not of format ${FORMAT}: build again with 'npm run build'`);
  }
  return json as PolicyBundle;
}
