import { describe, expect, it } from 'vitest';
import { SIGNALS } from '../../src/protocol.ts';
import { breachesOf, bucketSecondsOf, signalSettingsOf } from '../../src/signals/settings.ts';

describe('when a signal becomes an alert', () => {
  it('unset: one denied credential path or screen alert, 20 rejections, an hour, of the last quarter of an hour', () => {
    for (const text of [undefined, '', '{}'])
      expect(signalSettingsOf(text)).toEqual({
        ok: true,
        value: { windowMinutes: 15, credentialPaths: 1, rejections: 20, screenAlerts: 1, sessionMinutes: 60 },
      });
  });

  it('what is set is set, and the rest stays', () => {
    expect(signalSettingsOf('{"window_minutes":5,"rejections":3}')).toEqual({
      ok: true,
      value: { windowMinutes: 5, credentialPaths: 1, rejections: 3, screenAlerts: 1, sessionMinutes: 60 },
    });
  });

  it('a zero is a zero, of each threshold', () => {
    const text = '{"credential_paths":0,"rejections":0,"screen_alerts":0,"session_minutes":0}';
    expect(signalSettingsOf(text)).toEqual({
      ok: true,
      value: { windowMinutes: 15, credentialPaths: 0, rejections: 0, screenAlerts: 0, sessionMinutes: 0 },
    });
  });

  it.each([
    ['{"rejections"', /^it is no JSON$/],
    ['null', /^it: /],
    ['{"rejection":3}', /rejection/],
    ['{"rejections":-1}', /^rejections: /],
    ['{"rejections":1.5}', /^rejections: /],
    ['{"rejections":"3"}', /^rejections: /],
    ['{"window_minutes":0}', /^window_minutes: /],
    ['{"window_minutes":1441}', /^window_minutes: /],
    ['{"session_minutes":1441}', /^session_minutes: /],
  ])('%s is refused, naming what is wrong: a slip must not turn an alert off', (text, why) => {
    expect(signalSettingsOf(text)).toEqual({ ok: false, error: expect.stringMatching(why) });
  });

  it('from the threshold on; a threshold of 0 never is reached', () => {
    const settings = { windowMinutes: 15, credentialPaths: 2, rejections: 3, screenAlerts: 4, sessionMinutes: 5 };
    const reached = (value: (most: number) => number) =>
      breachesOf(
        SIGNALS.map((signal, i) => ({ signal, agent: 'a', value: value(i + 2) })),
        settings,
      ).map(({ signal, threshold }) => [signal, threshold]);
    expect(reached((most) => most - 1)).toEqual([]);
    expect(reached((most) => most)).toEqual(SIGNALS.map((signal, i) => [signal, i + 2]));
    const off = { windowMinutes: 15, credentialPaths: 0, rejections: 0, screenAlerts: 0, sessionMinutes: 0 };
    const all = SIGNALS.map((signal) => ({ signal, agent: 'a', value: 1_000_000 }));
    expect(breachesOf(all, off)).toEqual([]);
  });
});

it('a series has about sixty points, of a length that people count in', () => {
  const hour = 3_600_000;
  for (const [span, seconds] of [
    [hour / 60, 10],
    [hour, 60],
    [24 * hour, 1800],
    [92 * 24 * hour, 86_400],
    [10_000 * hour, 86_400],
  ] as const)
    expect(bucketSecondsOf(1_000, 1_000 + span), String(span)).toBe(seconds);
});
