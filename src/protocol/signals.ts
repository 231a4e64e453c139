import * as z from 'zod/mini';
import { AgentId, SessionId } from './ids.ts';
import { nullableInt, nullableText, shortName } from './parts.ts';
import { RunSessionId } from './sessions.ts';

export const SIGNALS = ['credential_paths', 'rejections', 'screen_alerts', 'long_sessions'] as const;

export const SignalName = z.enum(SIGNALS);
export type SignalName = z.infer<typeof SignalName>;

/** A runner's report about what a session's screen showed. The same `report_id` again counts once. */
export const ScreenReport = z.strictObject({
  session_id: RunSessionId,
  report_id: z.string().check(z.regex(/^[A-Za-z0-9_-]{1,64}$/, '1 to 64 of A-Z a-z 0-9 _ -')),
  rule: shortName('a rule'),
  count: z.int().check(z.minimum(1), z.maximum(10_000)),
});

export const SignalsQuery = z.strictObject({
  since: z.optional(z.iso.datetime()),
  until: z.optional(z.iso.datetime()),
  agent: z.optional(AgentId),
  session: z.optional(SessionId),
});

export const SignalAlert = z.object({
  id: z.string(),
  signal: SignalName,
  agent: z.string(),
  value: z.int(),
  threshold: z.int(),
  raised_at: z.iso.datetime(),
  last_at: z.iso.datetime(),
  cleared_at: z.nullable(z.iso.datetime()),
});
export type SignalAlert = z.infer<typeof SignalAlert>;

const Series = z.array(z.object({ at: z.iso.datetime(), count: z.int() }));

export const SignalsResponse = z.object({
  since: z.iso.datetime(),
  until: z.iso.datetime(),
  bucket_seconds: z.int(),
  settings: z.object({
    window_minutes: z.int(),
    credential_paths: z.int(),
    rejections: z.int(),
    screen_alerts: z.int(),
    session_minutes: z.int(),
  }),
  /** Opens of credential paths that the sandboxes denied, at the time of each session's last report. */
  credential_paths: z.object({
    total: z.int(),
    series: Series,
    by_session: z.array(z.object({ session: z.string(), agent: z.string(), count: z.int() })),
    by_class: z.array(z.object({ path_class: z.string(), count: z.int() })),
  }),
  /** Calls that the proxy refused. */
  rejections: z.object({
    total: z.int(),
    series: z.array(z.object({ at: z.iso.datetime(), reason: z.string(), count: z.int() })),
    by_reason: z.array(z.object({ reason: z.string(), capability: nullableText, agent: nullableText, count: z.int() })),
  }),
  screen_alerts: z.object({
    total: z.int(),
    series: Series,
    by_rule: z.array(z.object({ rule: z.string(), session: z.string(), agent: z.string(), count: z.int() })),
  }),
  sessions: z.object({
    total: z.int(),
    running: z.int(),
    /** Ended sessions that lasted at most so long; the last bound is null. */
    histogram: z.array(z.object({ up_to_seconds: nullableInt, count: z.int() })),
    long: z.array(z.object({ session: z.string(), agent: z.string(), seconds: z.int() })),
  }),
  alerts: z.array(SignalAlert),
});
export type SignalsResponse = z.infer<typeof SignalsResponse>;
