import { webhookSettings } from './approvals/webhook.ts';
import { retentionDaysOf } from './audit/retention.ts';
import { VerifiedTokens } from './capability/cache.ts';
import type { ExpectedClaims } from './capability/claims.ts';
import { importKeys, type TokenKeys } from './capability/keys.ts';
import type { Env } from './env.ts';
import { isPositive, isSet } from './lib/positive.ts';
import { err, ok, type Result } from './lib/result.ts';
import { type AccessSettings, parseAccessSettings } from './operator/access.ts';
import { type OperatorKeys, parseOperatorKeys } from './operator/operator-keys.ts';
import { bundle } from './policy/bundle.ts';
import type { PolicyBundle } from './policy/ruled.ts';
import { type SignalSettings, signalSettingsOf } from './signals/settings.ts';
import { type AlertWebhook, alertWebhookOf } from './signals/webhook.ts';
import { missingSecrets } from './upstream/secrets.ts';

/** The environment, parsed once per isolate: what every request may rely on. */
export interface Edge {
  readonly bundle: PolicyBundle;
  readonly keys: TokenKeys;
  readonly expected: ExpectedClaims;
  readonly operators: OperatorKeys;
  readonly access: AccessSettings | null;
  readonly verifiedTokens: VerifiedTokens;
  readonly signals: SignalSettings;
  readonly alertWebhook: AlertWebhook | null;
  /** Under `keywarden dev`. */
  readonly dev: boolean;
}

/** Something that keeps the edge from serving, and how to mend it. Names settings, never values. */
export interface EnvironmentProblem {
  readonly problem: string;
  readonly mend: string;
}

/** Bounds: with a default in the place of what was meant, calls would be refused too late or too soon. */
const NUMBERS = [
  'KEYWARDEN_LEDGER_MAX_WAITING_ROWS',
  'KEYWARDEN_OUTCOME_TIMEOUT_SECONDS',
  'KEYWARDEN_APPROVAL_MAX_PENDING',
  'KEYWARDEN_APPROVAL_MAX_HOURLY',
] as const;

// Plain values, not promises: a promise made in one request must not be awaited by another.
let parsed: { readonly env: Env; readonly edge: Edge } | null = null;

/**
 * Parses the bindings at the door. A broken environment refuses to serve: no default stands in for what is missing.
 *
 * @returns The edge, or every problem found.
 */
export async function edgeOf(env: Env): Promise<Result<Edge, readonly EnvironmentProblem[]>> {
  if (parsed !== null && parsed.env === env) return ok(parsed.edge);
  const dev = env.KEYWARDEN_MODE === 'dev';
  const { set, setBoth } = dev ? MENDS_OF_DEV : MENDS;
  const problems: EnvironmentProblem[] = [];
  const take = <T, E>(read: Result<T, E>, problemOf: (error: E) => EnvironmentProblem): T | null => {
    if (read.ok) return read.value;
    problems.push(problemOf(read.error));
    return null;
  };

  const keys = take(await importKeys(env.KEYWARDEN_SIGNING_KEY, env.KEYWARDEN_PREVIOUS_KEY), ({ setting, why }) => ({
    problem: `${setting}: ${why}`,
    mend: `make one with "keywarden keys create" and ${set(setting)}`,
  }));
  const operators = take(parseOperatorKeys(env.KEYWARDEN_OPERATORS), (why) => ({
    problem: `KEYWARDEN_OPERATORS: ${why}`,
    mend: `make it with "keywarden keys create" and ${set('KEYWARDEN_OPERATORS')}`,
  }));
  const access = take(
    parseAccessSettings(env.KEYWARDEN_ACCESS_ISSUER, env.KEYWARDEN_ACCESS_AUDIENCE, env.KEYWARDEN_ACCESS_ROLES, dev),
    (problem) => ({ problem, mend: 'set all three in wrangler.toml [vars], or none' }),
  );
  problems.push(...publicUrlProblems(env));
  take(webhookSettings(env, dev), (problem) => ({ problem, mend: setBoth }));
  for (const { secret, detail } of missingSecrets(env, bundle)) problems.push({ problem: detail, mend: set(secret) });
  problems.push(...numberProblems(env));
  const signals = take(signalSettingsOf(env.KEYWARDEN_SIGNALS), (why) => ({
    problem: `KEYWARDEN_SIGNALS: ${why}`,
    mend: 'mend it in wrangler.toml [vars], or remove it for the defaults',
  }));
  const alertWebhook = take(alertWebhookOf(env, dev), (problem) => ({ problem, mend: setBoth }));
  const unmigrated = await migrationProblem(env, dev);
  if (unmigrated !== null) problems.push(unmigrated);

  if (problems.length > 0 || keys === null || operators === null || signals === null) return err(problems);
  const edge: Edge = {
    bundle,
    keys,
    expected: { issuer: env.KEYWARDEN_ISSUER, audience: env.KEYWARDEN_AUDIENCE },
    operators,
    access,
    verifiedTokens: new VerifiedTokens(10_000),
    signals,
    alertWebhook,
    dev,
  };
  parsed = { env, edge };
  return ok(edge);
}

const MENDS = {
  set: (setting: string): string => `set it with "wrangler secret put ${setting}"`,
  setBoth: 'set both with "wrangler secret put", or remove the URL',
};
const MENDS_OF_DEV: typeof MENDS = {
  set: (setting) => `write ${setting}=… into the file given to keywarden dev --vars`,
  setBoth: 'write both into the file given to keywarden dev --vars, or remove the URL',
};

function publicUrlProblems(env: Env): EnvironmentProblem[] {
  const mend = "set it in wrangler.toml [vars] to the edge's public URL";
  const problems = (['KEYWARDEN_ISSUER', 'KEYWARDEN_AUDIENCE'] as const)
    .filter((name) => !env[name])
    .map((name) => ({ problem: `${name} is not set`, mend }));
  if (env.KEYWARDEN_ISSUER && !URL.canParse(env.KEYWARDEN_ISSUER))
    problems.push({ problem: 'KEYWARDEN_ISSUER is no URL', mend });
  return problems;
}

function numberProblems(env: Env): EnvironmentProblem[] {
  const problems = NUMBERS.filter((name) => isSet(env[name]) && !isPositive(env[name])).map((name) => ({
    problem: `${name} is no number above 0`,
    mend: 'set it in wrangler.toml [vars], or remove it for the default',
  }));
  if (retentionDaysOf(env) === 'unreadable')
    problems.unshift({
      problem: 'KEYWARDEN_AUDIT_RETENTION_DAYS is not a number of days from 1 to 36500',
      mend: 'set it in wrangler.toml [vars], or remove it to keep audit rows for ever',
    });
  return problems;
}

async function migrationProblem(env: Env, dev: boolean): Promise<EnvironmentProblem | null> {
  try {
    await env.DB.batch([
      env.DB.prepare('SELECT seq FROM audit LIMIT 1'),
      env.DB.prepare('SELECT token_id FROM tokens LIMIT 1'),
      env.DB.prepare('SELECT sha256 FROM console_sessions LIMIT 1'),
    ]);
    return null;
  } catch {
    return {
      problem: 'the D1 database cannot be read or its migrations are not applied',
      mend: dev
        ? 'start keywarden dev again, which applies them; if that does not help, move its state directory (.keywarden, or that of --state) away'
        : 'run "npx wrangler d1 migrations apply DB --remote"',
    };
  }
}
