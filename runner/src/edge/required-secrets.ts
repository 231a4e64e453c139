import type { PolicyBundle } from '../../../src/offline.ts';

export interface MissingSecret {
  readonly name: string;
  /** The services whose policies want it. */
  readonly services: readonly string[];
}

/** The names of the secrets that the policies want and `vars` does not have, sorted. */
export function missingSecrets(bundle: PolicyBundle, vars: Readonly<Record<string, string>>): MissingSecret[] {
  const wanted = new Map<string, string[]>();
  for (const policy of Object.values(bundle.services)) {
    for (const name of secretNamesOf(policy.credential)) {
      if (vars[name] === undefined) wanted.set(name, [...(wanted.get(name) ?? []), policy.service]);
    }
  }
  return [...wanted].map(([name, services]) => ({ name, services })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

type CredentialSpec = PolicyBundle['services'][string]['credential'];

function secretNamesOf(credential: CredentialSpec): string[] {
  switch (credential.scheme) {
    case 'bearer':
    case 'header':
    case 'basic':
    case 'query':
      return [credential.secret];
    case 'sigv4':
      return [credential.accessKeyId, credential.secretAccessKey, credential.sessionToken].filter(
        (name) => name !== null,
      );
  }
}
