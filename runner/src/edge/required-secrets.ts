import type { PolicyBundle } from '../../../src/offline.ts';
import { offline } from '../policy/compile.ts';

export interface MissingSecret {
  readonly name: string;
  /** The services whose policies want it. */
  readonly services: readonly string[];
}

/** The names of the secrets that the policies want and `vars` does not have, sorted. */
export async function missingSecrets(
  bundle: PolicyBundle,
  vars: Readonly<Record<string, string>>,
): Promise<MissingSecret[]> {
  const { secretNamesOf } = await offline();
  const wanted = new Map<string, string[]>();
  for (const policy of Object.values(bundle.services)) {
    for (const name of secretNamesOf(policy.credential)) {
      if (vars[name] === undefined) wanted.set(name, [...(wanted.get(name) ?? []), policy.service]);
    }
  }
  return [...wanted].map(([name, services]) => ({ name, services })).sort((a, b) => (a.name < b.name ? -1 : 1));
}
