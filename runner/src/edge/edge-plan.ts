import { ROLES } from '../../../src/protocol.ts';
import { Failure } from '../failure.ts';
import { compileDirectory } from '../policy/compile.ts';
import { checkSigningKey, operatorEntryOf } from '../state/keys.ts';
import type { LocalKeys } from '../state/state-directory.ts';
import { type MissingSecret, missingSecrets } from './required-secrets.ts';
import { readVars } from './vars.ts';

/** Everything about an edge that may change while it runs: its policies as JSON and its text bindings. */
export interface EdgePlan {
  readonly policies: string;
  readonly bindings: Readonly<Record<string, string>>;
  readonly services: readonly string[];
  /** Sentences for stderr. */
  readonly notes: readonly string[];
}

export interface PlanInput {
  readonly policiesDir: string;
  readonly varsFile: string | null;
  readonly keys: LocalKeys;
  /** Issuer and audience of the tokens unless the vars file says otherwise. */
  readonly issuer: string;
}

/**
 * Reads policies and secrets and checks that they fit together.
 *
 * @throws Failure with every policy problem, or naming every missing secret: nothing starts half.
 */
export async function planEdge(input: PlanInput): Promise<EdgePlan> {
  const bundle = await compileDirectory(input.policiesDir, { allowLoopbackHttp: true });
  const vars = input.varsFile === null ? {} : readVars(input.varsFile);
  const missing = await missingSecrets(bundle, vars);
  if (missing.length > 0) {
    const place = input.varsFile ?? 'a file that you name with --vars FILE';
    throw new Failure(
      missing.map((m) => `the secret ${m.name} is missing: the policy of ${m.services.join(', ')} wants it`).join('\n'),
      [...missing.map((m) => `write ${m.name}=… into ${place}`), ...serveFewer(Object.keys(bundle.services), missing)],
    );
  }
  const services = Object.keys(bundle.services);
  return {
    policies: JSON.stringify(bundle),
    bindings: bindingsOf(input, vars),
    services,
    notes: [
      ...(bundle.agents.source === 'absent' ? ['no agents.yaml: any agent may hold anything (dev only)'] : []),
      ...(services.length === 0 ? [`no policy in ${input.policiesDir}: nothing can be called`] : []),
    ],
  };
}

function bindingsOf(input: PlanInput, vars: Readonly<Record<string, string>>): Record<string, string> {
  const bindings: Record<string, string> = {
    KEYWARDEN_ISSUER: input.issuer,
    KEYWARDEN_AUDIENCE: input.issuer,
    KEYWARDEN_SIGNING_KEY: JSON.stringify(input.keys.signingKey),
    ...vars,
    KEYWARDEN_MODE: 'dev',
  };
  if (vars['KEYWARDEN_SIGNING_KEY'] !== undefined) {
    checkSigningKey(
      vars['KEYWARDEN_SIGNING_KEY'],
      `KEYWARDEN_SIGNING_KEY in ${input.varsFile}`,
      'remove it there, or make one: keywarden keys create',
    );
  }
  // The operators of the vars file stay; the local key is added, or the command line could not speak to this edge.
  bindings['KEYWARDEN_OPERATORS'] = JSON.stringify([
    ...operatorsIn(vars['KEYWARDEN_OPERATORS'], input.varsFile),
    operatorEntryOf(input.keys.operatorKey, 'local', ROLES),
  ]);
  return bindings;
}

function operatorsIn(text: string | undefined, file: string | null): unknown[] {
  if (text === undefined) return [];
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list)) return list;
  } catch {
    // Said below.
  }
  throw new Failure(`KEYWARDEN_OPERATORS in ${file} is no JSON list`, 'make an entry: keywarden keys create');
}

/** Who has the keys of some services need not have those of all. */
function serveFewer(services: readonly string[], missing: readonly MissingSecret[]): string[] {
  const lacking = new Set(missing.flatMap((secret) => secret.services));
  const whole = services.filter((service) => !lacking.has(service));
  return whole.length === 0
    ? []
    : [`or serve only what has its secrets: --policies DIR, a folder with the policies of ${whole.join(', ')}`];
}
