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

const SET_PUBLIC_URL = "set it in wrangler.toml [vars] to the edge's public URL";

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
  const problems: EnvironmentProblem[] = [];
  const dev = env.KEYWARDEN_MODE === 'dev';
  const set = (setting: string): string =>
    dev
      ? `write ${setting}=… into the file given to keywarden dev --vars`
      : `set it with "wrangler secret put ${setting}"`;

  const setBoth = dev
    ? 'write both into the file given to keywarden dev --vars, or remove the URL'
    : 'set both with "wrangler secret put", or remove the URL';

  const keys = await importKeys(env.KEYWARDEN_SIGNING_KEY, env.KEYWARDEN_PREVIOUS_KEY);
  if (!keys.ok) {
    problems.push({
      problem: `${keys.error.setting}: ${keys.error.why}`,
      mend: `make one with "keywarden keys create" and ${set(keys.error.setting)}`,
    });
  }
  const operators = parseOperatorKeys(env.KEYWARDEN_OPERATORS);
  if (!operators.ok) {
    problems.push({
      problem: `KEYWARDEN_OPERATORS: ${operators.error}`,
      mend: `make it with "keywarden keys create" and ${set('KEYWARDEN_OPERATORS')}`,
    });
  }
  const access = parseAccessSettings(
    env.KEYWARDEN_ACCESS_ISSUER,
    env.KEYWARDEN_ACCESS_AUDIENCE,
    env.KEYWARDEN_ACCESS_ROLES,
    dev,
  );
  if (!access.ok) problems.push({ problem: access.error, mend: 'set all three in wrangler.toml [vars], or none' });
  for (const name of ['KEYWARDEN_ISSUER', 'KEYWARDEN_AUDIENCE'] as const) {
    if (!env[name]) problems.push({ problem: `${name} is not set`, mend: SET_PUBLIC_URL });
  }
  if (env.KEYWARDEN_ISSUER && !URL.canParse(env.KEYWARDEN_ISSUER))
    problems.push({ problem: 'KEYWARDEN_ISSUER is no URL', mend: SET_PUBLIC_URL });
  const webhook = webhookSettings(env, dev);
  if (webhook.problem !== null) {
    problems.push({ problem: webhook.problem, mend: setBoth });
  }
  problems.push(
    ...missingSecrets(env, bundle).map(({ secret, detail }) => ({
      problem: detail,
      mend: set(secret),
    })),
  );
  if (retentionDaysOf(env) === 'unreadable') {
    problems.push({
      problem: 'KEYWARDEN_AUDIT_RETENTION_DAYS is not a number of days from 1 to 36500',
      mend: 'set it in wrangler.toml [vars], or remove it to keep audit rows for ever',
    });
  }
  for (const name of NUMBERS) {
    const text = env[name];
    if (isSet(text) && !isPositive(text))
      problems.push({
        problem: `${name} is no number above 0`,
        mend: 'set it in wrangler.toml [vars], or remove it for the default',
      });
  }
  const signals = signalSettingsOf(env.KEYWARDEN_SIGNALS);
  if (!signals.ok)
    problems.push({
      problem: `KEYWARDEN_SIGNALS: ${signals.error}`,
      mend: 'mend it in wrangler.toml [vars], or remove it for the defaults',
    });
  const alertWebhook = alertWebhookOf(env, dev);
  if (!alertWebhook.ok) problems.push({ problem: alertWebhook.error, mend: setBoth });
  const unmigrated = await migrationProblem(env, dev);
  if (unmigrated !== null) problems.push(unmigrated);

  if (problems.length > 0 || !keys.ok || !operators.ok || !access.ok || !signals.ok || !alertWebhook.ok)
    return err(problems);
  const edge: Edge = {
    bundle,
    keys: keys.value,
    expected: { issuer: env.KEYWARDEN_ISSUER, audience: env.KEYWARDEN_AUDIENCE },
    operators: operators.value,
    access: access.value,
    verifiedTokens: new VerifiedTokens(10_000),
    signals: signals.value,
    alertWebhook: alertWebhook.value,
    dev,
  };
  parsed = { env, edge };
  return ok(edge);
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
