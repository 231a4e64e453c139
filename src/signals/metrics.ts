import type { SignalsResponse } from '../protocol.ts';

/** The Prometheus text format, version 0.0.4: gauges of the window that the thresholds look at. */
export function metricsText(figures: SignalsResponse): string {
  const lines: string[] = [];
  const gauge = (
    name: string,
    help: string,
    samples: readonly (readonly [Readonly<Record<string, string>>, number])[],
  ) => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`);
    for (const [labels, value] of samples) {
      const text = Object.entries(labels).map(([label, of]) => `${label}="${escaped(of)}"`);
      lines.push(`${name}${text.length === 0 ? '' : `{${text.join(',')}}`} ${value}`);
    }
  };
  gauge(
    'keywarden_rejections_window',
    'Calls refused within the window.',
    figures.rejections.by_reason.map((one) => [
      { reason: one.reason, capability: one.capability ?? '', agent: one.agent ?? '' },
      one.count,
    ]),
  );
  gauge(
    'keywarden_credential_path_denials_window',
    'Opens of credential paths denied in sessions seen within the window.',
    figures.credential_paths.by_session.map((one) => [{ agent: one.agent, session: one.session }, one.count]),
  );
  gauge(
    'keywarden_screen_alerts_window',
    'Alerts of screens within the window.',
    figures.screen_alerts.by_rule.map((one) => [{ rule: one.rule, agent: one.agent, session: one.session }, one.count]),
  );
  gauge('keywarden_sessions_running', 'Sessions that run.', [[{}, figures.sessions.running]]);
  gauge(
    'keywarden_sessions_long',
    'Seconds of sessions that run beyond the bound.',
    figures.sessions.long.map((one) => [{ agent: one.agent, session: one.session }, one.seconds]),
  );
  gauge(
    'keywarden_alerts_open',
    'Thresholds that are passed.',
    figures.alerts
      .filter((one) => one.cleared_at === null)
      .map((one) => [{ signal: one.signal, agent: one.agent }, one.value]),
  );
  return `${lines.join('\n')}\n`;
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
