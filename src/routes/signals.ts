import { Hono } from 'hono';
import { insertScreenAlert, listAlerts, readFigures, type SignalFilter } from '../db/signals.ts';
import { flushWaiting } from '../ledger/client.ts';
import { ScreenReport, SignalsQuery, type SignalsResponse } from '../protocol.ts';
import { addUp } from '../sessions/state.ts';
import { metricsText } from '../signals/metrics.ts';
import { bucketSecondsOf, DURATION_BOUNDS } from '../signals/settings.ts';
import { tellOfAlerts, watchSignals } from '../signals/watch.ts';
import { ownSession } from './announced-session.ts';
import type { Api, ApiContext } from './context.ts';
import { operatorOnly } from './operator-only.ts';
import { refuse } from './refuse.ts';
import { queryOf, requestOf } from './request.ts';

export const signals = new Hono<Api>();

const DAY_MS = 86_400_000;
const MAX_SPAN_MS = 92 * DAY_MS;

/** Figures over time; a day unless said. */
signals.get('/', operatorOnly('audit'), async (c) => {
  const parsed = queryOf(c, SignalsQuery);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const { since, until, agent = null, session = null } = parsed.value;
  const now = Date.now();
  const end = until === undefined ? now : Date.parse(until);
  const begin = since === undefined ? end - DAY_MS : Date.parse(since);
  if (begin >= end || end - begin > MAX_SPAN_MS)
    return refuse(c, 400, 'request_invalid', 'since lies before until, by at most 92 days.');
  return c.json(await figuresOf(c, { since: begin, until: end, agent, session }, now));
});

/** A screen's alert, by the runner that announced the session. */
signals.post('/screen', operatorOnly('mint'), async (c) => {
  const parsed = await requestOf(c, ScreenReport);
  if (!parsed.ok) return refuse(c, 400, 'request_invalid', parsed.error);
  const { session_id, report_id, rule, count } = parsed.value;
  const session = await ownSession(c, session_id);
  if (session instanceof Response) return session;
  const now = Date.now();
  await insertScreenAlert(c.env.DB, {
    session: session_id,
    report: report_id,
    agent: session.agent,
    rule,
    count,
    at: now,
  });
  c.executionCtx.waitUntil(watchSignals(c.env, c.get('edge'), now).then(() => tellOfAlerts(c.env, c.get('edge'), now)));
  return c.body(null, 204);
});

/** `GET /metrics`: the window of the thresholds, as Prometheus text. */
export const metrics = new Hono<Api>();
metrics.get('/', operatorOnly('audit'), async (c) => {
  const now = Date.now();
  const since = now - c.get('edge').signals.windowMinutes * 60_000;
  const figures = await figuresOf(c, { since, until: now, agent: null, session: null }, now);
  return c.body(metricsText(figures), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
});

async function figuresOf(c: ApiContext, filter: SignalFilter, now: number): Promise<SignalsResponse> {
  const { signals: settings } = c.get('edge');
  // What waits in the ledgers is counted too; a ledger that does not answer must not hide what is known.
  await flushWaiting(c.env);
  await watchSignals(c.env, c.get('edge'), now);
  c.executionCtx.waitUntil(tellOfAlerts(c.env, c.get('edge'), now));
  const bucketSeconds = bucketSecondsOf(filter.since, filter.until);
  const [figures, alerts] = await Promise.all([
    readFigures(c.env.DB, filter, bucketSeconds, now),
    listAlerts(c.env.DB, filter.since, filter.agent),
  ]);
  const at = (ms: number): string => new Date(ms).toISOString();
  const counts = new Map(figures.durations.map(({ bound, count }) => [bound, count]));
  return {
    since: at(filter.since),
    until: at(filter.until),
    bucket_seconds: bucketSeconds,
    settings: {
      window_minutes: settings.windowMinutes,
      credential_paths: settings.credentialPaths,
      rejections: settings.rejections,
      screen_alerts: settings.screenAlerts,
      session_minutes: settings.sessionMinutes,
    },
    credential_paths: {
      total: addUp(figures.credentialSeries),
      series: figures.credentialSeries.map((one) => ({ at: at(one.at), count: one.count })),
      by_session: [...figures.credentialBySession],
      by_class: [...figures.credentialByClass],
    },
    rejections: {
      total: addUp(figures.rejectionSeries),
      series: figures.rejectionSeries.map((one) => ({ ...one, at: at(one.at) })),
      by_reason: [...figures.rejectionsBy],
    },
    screen_alerts: {
      total: addUp(figures.screenSeries),
      series: figures.screenSeries.map((one) => ({ at: at(one.at), count: one.count })),
      by_rule: [...figures.screenBy],
    },
    sessions: {
      total: figures.sessionsTotal,
      running: figures.open.length,
      histogram: [...DURATION_BOUNDS, null].map((bound) => ({
        up_to_seconds: bound,
        count: counts.get(bound) ?? 0,
      })),
      long: figures.open
        .map(({ session, agent, startedAt }) => ({
          session,
          agent,
          seconds: Math.max(0, Math.floor((now - startedAt) / 1000)),
        }))
        .filter(({ seconds }) => settings.sessionMinutes > 0 && seconds >= settings.sessionMinutes * 60),
    },
    alerts,
  };
}
