import * as z from 'zod/mini';
import { err, ok, type Result } from '../lib/result.ts';
import type { SignalName } from '../protocol.ts';

/** When a signal of an agent becomes an alert. A threshold of 0 never does. */
export interface SignalSettings {
  /** What is counted: the last so many minutes. */
  readonly windowMinutes: number;
  readonly credentialPaths: number;
  readonly rejections: number;
  readonly screenAlerts: number;
  /** A session that runs longer is an alert. */
  readonly sessionMinutes: number;
}

const threshold = z.optional(z.int().check(z.minimum(0), z.maximum(1_000_000)));
const Written = z.strictObject({
  window_minutes: z.optional(z.int().check(z.minimum(1), z.maximum(1440))),
  credential_paths: threshold,
  rejections: threshold,
  screen_alerts: threshold,
  session_minutes: z.optional(z.int().check(z.minimum(0), z.maximum(1440))),
});

/** Parses `KEYWARDEN_SIGNALS`. Unset: one denied credential path or screen alert, 20 rejections, sessions over an hour. */
export function signalSettingsOf(text: string | undefined): Result<SignalSettings, string> {
  let json: unknown = {};
  try {
    if (text) json = JSON.parse(text);
  } catch {
    return err('it is no JSON');
  }
  const parsed = Written.safeParse(json);
  if (!parsed.success) {
    return err(parsed.error.issues.map((i) => `${i.path.join('.') || 'it'}: ${i.message}`).join('; '));
  }
  const { window_minutes, credential_paths, rejections, screen_alerts, session_minutes } = parsed.data;
  return ok({
    windowMinutes: window_minutes ?? 15,
    credentialPaths: credential_paths ?? 1,
    rejections: rejections ?? 20,
    screenAlerts: screen_alerts ?? 1,
    sessionMinutes: session_minutes ?? 60,
  });
}

/** What was counted of one agent within the window; of `long_sessions` the minutes of its longest running one. */
export interface Measure {
  readonly signal: SignalName;
  readonly agent: string;
  readonly value: number;
}

export interface Breach extends Measure {
  readonly threshold: number;
}

/** The measures that reach their thresholds. */
export function breachesOf(measures: readonly Measure[], settings: SignalSettings): Breach[] {
  const thresholds: Readonly<Record<SignalName, number>> = {
    credential_paths: settings.credentialPaths,
    rejections: settings.rejections,
    screen_alerts: settings.screenAlerts,
    long_sessions: settings.sessionMinutes,
  };
  return measures
    .map((measure) => ({ ...measure, threshold: thresholds[measure.signal] }))
    .filter(({ threshold: most, value }) => most > 0 && value >= most);
}

/** Upper bounds, in seconds, of the histogram of durations; the last one is open. */
export const DURATION_BOUNDS = [10, 30, 60, 300, 900, 1800, 3600, 7200] as const;

/** About 60 points, of a length that people count in. */
export function bucketSecondsOf(sinceMs: number, untilMs: number): number {
  const steps = [10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 86_400];
  const wanted = (untilMs - sinceMs) / 1000 / 60;
  return steps.find((step) => step >= wanted) ?? 86_400;
}
