import { useEffect, useRef, useState } from 'preact/hooks';
import type uPlot from 'uplot';
import type { SignalsResponse } from '../../../src/protocol.ts';
import { get } from '../api.ts';
import { now } from '../state.ts';
import { duration, Empty, Failed, PageHead, pad, plain, Tag, Time, useLoad } from '../ui.tsx';

const RANGES = { hour: 3600, day: 86_400, week: 604_800, month: 2_592_000 } as const;
const NAMES: Readonly<Record<string, string>> = {
  credential_paths: 'credential paths denied',
  rejections: 'calls refused',
  screen_alerts: 'screen alerts',
  long_sessions: 'minutes of a running session',
};

export function Signals() {
  const [range, setRange] = useState<keyof typeof RANGES>('day');
  const [agent, setAgent] = useState('');
  const { data, error } = useLoad<SignalsResponse>(
    (signal) => get('/v1/signals', { since: new Date(now() - RANGES[range] * 1000).toISOString(), agent }, signal),
    `${range} ${agent}`,
    10_000,
  );
  return (
    <section class="page">
      <PageHead title="Signals">
        <label class="inline">
          Agent
          <input data-search value={agent} onChange={(event) => setAgent(event.currentTarget.value.trim())} />
        </label>
        <fieldset class="segmented" aria-label="How long">
          {(Object.keys(RANGES) as (keyof typeof RANGES)[]).map((one) => (
            <button key={one} type="button" aria-pressed={one === range} onClick={() => setRange(one)}>
              {one}
            </button>
          ))}
        </fieldset>
      </PageHead>
      <Failed text={error} />
      {data === null ? <div class="loading" aria-busy="true" /> : <Figures data={data} />}
    </section>
  );
}

function Figures({ data }: { data: SignalsResponse }) {
  const { credential_paths, rejections, screen_alerts, sessions, settings } = data;
  const open = data.alerts.filter((one) => one.cleared_at === null);
  const reasons = [...new Set(rejections.by_reason.map((one) => one.reason))].slice(0, 6);
  const window = `${settings.window_minutes} min`;
  return (
    <>
      {open.length === 0 ? null : (
        <ul class="alerts">
          {open.map((one) => (
            <li key={one.id}>
              <Tag tone="bad">alert</Tag>
              <b>{plain(one.agent)}</b>
              <span>
                {one.value} {NAMES[one.signal]}, threshold {one.threshold}, since <Time at={one.raised_at} />
              </span>
            </li>
          ))}
        </ul>
      )}
      <div class="grid">
        <Card
          title="Credential paths denied"
          total={credential_paths.total}
          rule={ruleOf(settings.credential_paths, window)}
        >
          <Chart data={data} lines={[{ label: 'denied', points: credential_paths.series }]} />
          <Table
            head={['session', 'agent', 'count']}
            rows={credential_paths.by_session.map((one) => [one.session, one.agent, one.count])}
          />
        </Card>
        <Card title="Calls refused" total={rejections.total} rule={ruleOf(settings.rejections, window)}>
          <Chart
            data={data}
            lines={reasons.map((reason) => ({
              label: reason,
              points: rejections.series.filter((one) => one.reason === reason),
            }))}
          />
          <Table
            head={['reason', 'capability', 'agent', 'count']}
            rows={rejections.by_reason.map((one) => [one.reason, one.capability ?? '—', one.agent ?? '—', one.count])}
          />
        </Card>
        <Card title="Screen alerts" total={screen_alerts.total} rule={ruleOf(settings.screen_alerts, window)}>
          <Chart data={data} lines={[{ label: 'alerts', points: screen_alerts.series }]} />
          <Table
            head={['rule', 'session', 'count']}
            rows={screen_alerts.by_rule.map((one) => [one.rule, one.session, one.count])}
          />
        </Card>
        <Card
          title="How long sessions last"
          total={sessions.total}
          rule={
            settings.session_minutes === 0
              ? 'no bound'
              : `${sessions.running} running; alert beyond ${settings.session_minutes} min`
          }
        >
          <Histogram rows={sessions.histogram} />
          <Table
            head={['running beyond the bound', 'agent', 'for']}
            rows={sessions.long.map((one) => [one.session, one.agent, duration(one.seconds - (one.seconds % 60))])}
          />
        </Card>
      </div>
    </>
  );
}

const ruleOf = (threshold: number, window: string): string =>
  threshold === 0 ? 'no alert' : `alert at ${threshold} in ${window}`;

const Card = (props: { title: string; total: number; rule: string; children: preact.ComponentChildren }) => (
  <section class="panel">
    <header>
      <h2>{props.title}</h2>
      <p class="big">{props.total.toLocaleString('en')}</p>
      <p class="dim small">{props.rule}</p>
    </header>
    {props.children}
  </section>
);

const Table = ({ head, rows }: { head: string[]; rows: (string | number)[][] }) =>
  rows.length === 0 ? null : (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section class="scroll" tabIndex={0} aria-label={head[0] ?? ''}>
      <table>
        <thead>
          <tr>
            {head.map((text) => (
              <th key={text}>{text}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, 50).map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column} class={typeof cell === 'number' ? 'number' : 'mono'}>
                  {plain(String(cell))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );

function Histogram({ rows }: { rows: SignalsResponse['sessions']['histogram'] }) {
  const most = Math.max(1, ...rows.map((row) => row.count));
  return (
    <ul class="histogram" aria-label="Ended sessions by duration">
      {rows.map((row) => (
        <li key={row.up_to_seconds}>
          <span class="dim">{row.up_to_seconds === null ? 'longer' : `≤ ${duration(row.up_to_seconds)}`}</span>
          <span class="bar">
            <span style={{ width: `${(row.count / most) * 100}%` }} />
          </span>
          <b class="mono">{row.count}</b>
        </li>
      ))}
    </ul>
  );
}

/** As all times of these pages are written: 24 hours, and the day where one begins. */
function tickOf(seconds: number, step: number): string {
  const at = new Date(seconds * 1000);
  const day = step >= 86_400 || (at.getHours() === 0 && at.getMinutes() === 0);
  return day ? `${pad(at.getMonth() + 1)}-${pad(at.getDate())}` : `${pad(at.getHours())}:${pad(at.getMinutes())}`;
}

interface Line {
  readonly label: string;
  readonly points: readonly { readonly at: string; readonly count: number }[];
}

function Chart({ data, lines }: { data: SignalsResponse; lines: readonly Line[] }) {
  const box = useRef<HTMLDivElement>(null);
  const empty = lines.every((line) => line.points.length === 0);
  useEffect(() => {
    const element = box.current;
    if (element === null || empty) return;
    let plot: uPlot | null = null;
    let gone = false;
    const draw = async (): Promise<void> => {
      const [{ default: Plot }] = await Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]);
      if (gone) return;
      plot?.destroy();
      const style = getComputedStyle(element);
      const colour = (name: string): string => style.getPropertyValue(name).trim();
      const step = data.bucket_seconds;
      const first = Math.floor(Date.parse(data.since) / 1000 / step) * step;
      const last = Math.floor(Date.parse(data.until) / 1000 / step) * step;
      const xs = Array.from({ length: (last - first) / step + 1 }, (_, index) => first + index * step);
      const ys = lines.map((line) => {
        const counts = new Map(line.points.map((one) => [Date.parse(one.at) / 1000, one.count]));
        return xs.map((x) => counts.get(x) ?? 0);
      });
      const axis = {
        stroke: colour('--dim'),
        grid: { stroke: colour('--line'), width: 1 },
        ticks: { show: false },
        font: '11px system-ui',
      };
      const bars = Plot.paths.bars?.({ size: [0.7, 40] });
      plot = new Plot(
        {
          width: element.clientWidth,
          height: 150,
          legend: { show: false },
          cursor: { y: false, drag: { x: false, y: false } },
          scales: { y: { range: (_u, _min, max) => [0, Math.max(4, max * 1.1)] } },
          axes: [
            { ...axis, space: 70, values: (_plot, at, _axis, _space, step) => at.map((x) => tickOf(x, step)) },
            { ...axis, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10_000] },
          ],
          series: [
            {},
            ...lines.map((line, index) => ({
              label: line.label,
              stroke: colour(`--chart-${index}`),
              width: 2,
              points: { show: false },
              ...(lines.length === 1 && bars !== undefined ? { paths: bars, fill: colour('--chart-0'), width: 0 } : {}),
            })),
          ],
        },
        [xs, ...ys],
        element,
      );
    };
    void draw();
    const again = (): void => void draw();
    const watch = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: 150 }));
    watch.observe(element);
    addEventListener('themechange', again);
    return () => {
      gone = true;
      watch.disconnect();
      removeEventListener('themechange', again);
      plot?.destroy();
    };
  }, [data, empty]);
  if (empty) return <Empty title="None in this time" />;
  return (
    <>
      <div class="chart" ref={box} role="img" aria-label={`${lines.map((line) => line.label).join(', ')} over time`} />
      {lines.length < 2 ? null : (
        <ul class="legend">
          {lines.map((line, index) => (
            <li key={line.label}>
              <span class={`swatch c${index}`} aria-hidden="true" />
              {plain(line.label.replaceAll('_', ' '))}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
