import { expect, it } from 'vitest';
import type { SignalAlert, SignalsResponse } from '../../src/protocol.ts';
import { metricsText } from '../../src/signals/metrics.ts';

const AT = '2027-01-15T08:00:00.000Z';
const alert = (agent: string, cleared_at: string | null): SignalAlert => ({
  id: agent,
  signal: 'rejections',
  agent,
  value: 21,
  threshold: 20,
  raised_at: AT,
  last_at: AT,
  cleared_at,
});
const figures: SignalsResponse = {
  since: AT,
  until: AT,
  bucket_seconds: 60,
  settings: { window_minutes: 15, credential_paths: 1, rejections: 20, screen_alerts: 1, session_minutes: 60 },
  credential_paths: { total: 3, series: [], by_session: [{ session: 's', agent: 'a', count: 3 }], by_class: [] },
  rejections: {
    total: 7,
    series: [],
    by_reason: [
      { reason: 'operation_unknown', capability: null, agent: null, count: 2 },
      { reason: 'x"} 1\nplanted{y="\\', capability: 'bank:read', agent: 'a', count: 5 },
    ],
  },
  screen_alerts: { total: 2, series: [], by_rule: [{ rule: 'secret_shown', session: 's', agent: 'a', count: 2 }] },
  sessions: { total: 9, running: 4, histogram: [], long: [{ session: 's', agent: 'a', seconds: 4000 }] },
  alerts: [alert('loud', null), alert('quiet', AT)],
};

it('the window as Prometheus reads it: of alerts those that stand, and no label that ends its line', () => {
  const lines = metricsText(figures).split('\n');
  expect(lines.filter((line) => line !== '' && !line.startsWith('#'))).toEqual([
    'keywarden_rejections_window{reason="operation_unknown",capability="",agent=""} 2',
    String.raw`keywarden_rejections_window{reason="x\"} 1\nplanted{y=\"\\",capability="bank:read",agent="a"} 5`,
    'keywarden_credential_path_denials_window{agent="a",session="s"} 3',
    'keywarden_screen_alerts_window{rule="secret_shown",agent="a",session="s"} 2',
    'keywarden_sessions_running 4',
    'keywarden_sessions_long{agent="a",session="s"} 4000',
    'keywarden_alerts_open{signal="rejections",agent="loud"} 21',
  ]);
  // Each of them is introduced, and the text ends with a line's end, as the format wants it.
  expect(lines.filter((line) => line.startsWith('# TYPE'))).toHaveLength(6);
  expect(lines.at(-1)).toBe('');
});
