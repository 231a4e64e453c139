import type { CredentialSpec } from './ruled.ts';

/** The names of the secrets that a scheme needs. */
export function secretNamesOf(spec: CredentialSpec): readonly string[] {
  switch (spec.scheme) {
    case 'bearer':
    case 'header':
    case 'basic':
    case 'query':
      return [spec.secret];
    case 'sigv4':
      return spec.sessionToken === null
        ? [spec.accessKeyId, spec.secretAccessKey]
        : [spec.accessKeyId, spec.secretAccessKey, spec.sessionToken];
  }
}
