import { type Fault, fault } from '../fault.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { CredentialSpec, PolicyBundle } from '../policy/ruled.ts';
import { secretNamesOf } from '../policy/secret-names.ts';
import { Credential, type Credentials, MIN_SECRET_LENGTH } from './credential.ts';
import { pairAsSent } from './schemes/basic.ts';
import { valueAsSent } from './schemes/query.ts';

/**
 * The only reader of the secret bindings that policies name. A value that could not be injected byte for byte,
 * or could not be found again in an answer, is refused here, by the secret's name and never by its value.
 */

/** A longer one does not fit into a header field that servers accept (RFC 9110 §5.4 leaves the bound to them). */
const MAX_SECRET_LENGTH = 4096;

const PLACEHOLDER =
  /^(?:<.*>|\$\{.*\}|\{\{.*\}\}|\.{3,}|[x*_-]+|(?:change|replace|fill)[-_ ]?(?:me|this|in)?|todo|tbd|placeholder|example|secret|none|null|undefined|insert[-_ ].*|(?:your|my)[-_ ](?:.*[-_ ])?(?:key|token|secret|password|credentials?)(?:[-_ ]here)?|(?:.*[-_ ])?(?:key|token|secret|password|value|goes)[-_ ]here|.*\.\.\.)$/i;

/** A secret that is missing or unusable. */
export interface SecretProblem {
  /** The binding's name. */
  readonly secret: string;
  /** What is wrong and how to mend it; no value. */
  readonly detail: string;
}

const known = new WeakMap<object, Map<string, Credentials>>();

/**
 * Reads the credentials that a service's scheme needs from the Worker's bindings.
 *
 * The same object is returned as long as the bindings hold the same values, so that what is derived from it
 * (the scrubber, signing keys) may be cached by identity.
 *
 * @param env   The Worker's bindings.
 * @param spec  The policy's scheme: names of secrets.
 * @returns The credentials, or an `environment_broken` fault that names the first bad secret and its mend.
 */
export function readCredentials(env: object, spec: CredentialSpec): Result<Credentials, Fault> {
  const names = secretNamesOf(spec);
  const values = names.map((name) => read(env, name));
  const cache = cacheOf(env);
  const key = JSON.stringify([spec.scheme, spec.scheme === 'basic' ? spec.username : null, ...names]);
  const before = cache.get(key);
  if (before !== undefined && holds(before, values)) return ok(before);
  for (const [i, name] of names.entries()) {
    const problem = problemWith(name, values[i], spec);
    if (problem !== null) return err(fault('environment_broken', problem));
  }
  const credentials = credentialsOf(spec, values as string[]);
  cache.set(key, credentials);
  return ok(credentials);
}

/**
 * What the environment lacks for a bundle of policies, for the check at start-up.
 *
 * @returns One problem per missing or unusable secret, each secret once, in the order of the policies; empty when all is well.
 */
export function missingSecrets(env: object, bundle: PolicyBundle): readonly SecretProblem[] {
  const problems = new Map<string, SecretProblem>();
  for (const policy of Object.values(bundle.services)) {
    for (const secret of secretNamesOf(policy.credential)) {
      const detail = problemWith(secret, read(env, secret), policy.credential);
      if (detail !== null && !problems.has(secret)) problems.set(secret, { secret, detail });
    }
  }
  return [...problems.values()];
}

function read(env: object, name: string): unknown {
  return Object.hasOwn(env, name) ? (env as Record<string, unknown>)[name] : undefined;
}

function problemWith(name: string, value: unknown, spec: CredentialSpec): string | null {
  const mend = `set it with \`wrangler secret put ${name}\`, or as ${name}=… in the file given to \`keywarden dev --vars\``;
  const say = (what: string): string => `secret ${name} ${what}: ${mend}`;
  if (value === undefined || value === null) return say('is missing');
  if (typeof value !== 'string') return say('is not a text binding');
  if (value === '') return say('is empty');
  if (value.trim() !== value) return say('begins or ends with white space');
  if (/[\u0000-\u001f\u007f]/.test(value)) return say('holds a control character');
  if (!/^[\x20-\x7e]*$/.test(value)) return say('holds a character outside printable ASCII');
  if (PLACEHOLDER.test(value)) return say('is a placeholder, not a credential');
  if (value.length < MIN_SECRET_LENGTH)
    return say(`is shorter than ${MIN_SECRET_LENGTH} characters and could not be scrubbed`);
  if (value.length > MAX_SECRET_LENGTH) return say(`is longer than ${MAX_SECRET_LENGTH} characters`);
  if (spec.scheme === 'basic' && spec.username === null && value.includes(':')) {
    // RFC 7617 §2: the server would take what follows for the password.
    return say('holds a colon, but is sent as a user name; a password wants its `username` in the policy');
  }
  return null;
}

function credentialsOf(spec: CredentialSpec, values: readonly string[]): Credentials {
  const [first, second, third] = values.map((value) => new Credential(value)) as [Credential, Credential?, Credential?];
  if (spec.scheme === 'basic') return { kind: 'single', secret: first, asSent: pairAsSent(spec.username, first) };
  if (spec.scheme === 'query') return { kind: 'single', secret: first, asSent: valueAsSent(first) };
  if (second === undefined) return { kind: 'single', secret: first };
  return { kind: 'aws', accessKeyId: first, secretAccessKey: second, sessionToken: third ?? null };
}

function holds(credentials: Credentials, values: readonly unknown[]): boolean {
  const held =
    credentials.kind === 'single'
      ? [credentials.secret]
      : [credentials.accessKeyId, credentials.secretAccessKey, credentials.sessionToken];
  return held.every((credential, i) => credential === null || credential.holds(values[i]));
}

function cacheOf(env: object): Map<string, Credentials> {
  let cache = known.get(env);
  if (cache === undefined) {
    cache = new Map();
    known.set(env, cache);
  }
  return cache;
}
