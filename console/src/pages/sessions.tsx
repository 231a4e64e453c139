import { useState } from 'preact/hooks';
import type { AuditListResponse, SessionDetail, SessionJson, SessionListResponse } from '../../../src/protocol.ts';
import { get, post } from '../api.ts';
import { clock, may, place, say } from '../state.ts';
import {
  Act,
  Code,
  Empty,
  Failed,
  Icon,
  Missing,
  PageHead,
  plain,
  Raw,
  span,
  Tag,
  Time,
  toneOf,
  useLoad,
} from '../ui.tsx';

export function Sessions() {
  const [state, setState] = useState<'' | 'running' | 'ended'>('');
  // One page at a time: what is shown is all asked for again, so that no session stands there as it was.
  const [cursor, setCursor] = useState<string | null>(null);
  const { data, error, reload } = useLoad<SessionListResponse>(
    (signal) => get('/v1/sessions', { state, limit: 100, cursor }, signal),
    `${state} ${cursor}`,
    3000,
  );
  const next = data?.next_cursor ?? null;
  const { id } = place.value;
  const list = data?.sessions ?? [];
  return (
    <section class={`split ${id === '' ? '' : 'open'}`}>
      <div class="split-list">
        <PageHead title="Sessions">
          <fieldset class="segmented" aria-label="Which">
            {(['', 'running', 'ended'] as const).map((one) => (
              <button
                key={one}
                type="button"
                aria-pressed={state === one}
                onClick={() => {
                  setState(one);
                  setCursor(null);
                }}
              >
                {one === '' ? 'All' : one === 'running' ? 'Running' : 'Ended'}
              </button>
            ))}
          </fieldset>
        </PageHead>
        <Failed text={error} />
        {cursor === null ? null : (
          <button type="button" class="more" onClick={() => setCursor(null)}>
            Newest sessions
          </button>
        )}
        <ul class="cards">
          {list.map((one) => (
            <li key={one.session_id}>
              <a
                class="card"
                data-row
                href={`#/sessions/${one.session_id}`}
                aria-current={one.session_id === id ? 'true' : undefined}
              >
                <span class="card-top">
                  <b>{plain(one.agent_id)}</b>
                  <Tag tone={toneOf(one.state)}>{one.state}</Tag>
                </span>
                <span class="card-title mono">{plain(one.program)}</span>
                <span class="card-line dim">
                  {lasted(one)} · {one.backend} on {plain(one.host)}
                  {(one.denied ?? 0) > 0 ? <b class="alarm"> · {one.denied} denied</b> : null}
                </span>
              </a>
            </li>
          ))}
        </ul>
        {next === null ? null : (
          <button type="button" class="more" onClick={() => setCursor(next)}>
            Older sessions
          </button>
        )}
        {data !== null && list.length === 0 ? (
          <Empty title="No sessions">
            <code>npx keywarden run -- CMD</code> starts an agent in a sandbox; it appears here.
          </Empty>
        ) : null}
      </div>
      <div class="split-detail">
        {id === '' ? (
          <Empty title="No session open">Choose one on the left.</Empty>
        ) : (
          <Detail id={id} key={id} changed={reload} />
        )}
      </div>
    </section>
  );
}

const lasted = (one: SessionJson): string =>
  span((one.ended_at === null ? clock.value : Date.parse(one.ended_at)) - Date.parse(one.started_at));

function Detail({ id, changed }: { id: string; changed: () => void }) {
  const {
    data: one,
    error,
    reload,
  } = useLoad<SessionDetail>((signal) => get(`/v1/sessions/${encodeURIComponent(id)}`, {}, signal), id, 3000);
  const calls = useLoad<AuditListResponse>((signal) => get('/v1/audit', { session: id, limit: 100 }, signal), id, 4000);
  const back = (
    <a class="back" href="#/sessions">
      <Icon name="back" /> All sessions
    </a>
  );
  if (one === null) return <Missing back={back} error={error} />;
  const rows = calls.data?.rows ?? [];
  const ran = rows.filter((row) => row.event === 'call.admitted').length;
  const refused = rows.filter((row) => row.decision === 'deny').length;
  return (
    <article class="detail">
      {back}
      <header>
        <p class="eyebrow">
          <b>{plain(one.agent_id)}</b> runs
        </p>
        <h2 class="mono">{plain(one.program)}</h2>
        <p class="facts">
          <Tag tone={toneOf(one.state)}>{one.state}</Tag>
          <span>{lasted(one)}</span>
          <span>
            {one.backend} on {plain(one.host)}
          </span>
          <span>
            started by {plain(one.started_by)} <Time at={one.started_at} />
          </span>
        </p>
        <p class="mono dim small">{one.session_id}</p>
      </header>
      {one.ended_at === null && may('approve') ? (
        <div class="buttons">
          <Act
            class="danger"
            hotkey="s"
            disabled={one.state !== 'running'}
            run={async () => {
              await post(`/v1/sessions/${one.session_id}/stop`, {});
              reload();
              changed();
              say('Its tokens are revoked, and its runner was asked to end it.');
            }}
          >
            {one.state === 'running' ? 'Stop this session' : 'Stop was asked for'}
          </Act>
        </div>
      ) : null}
      <dl class="figures">
        <Figure name="calls let through" value={calls.data?.next_cursor == null ? ran : `${ran}+`} />
        <Figure name="calls refused" value={refused} bad={refused > 0} />
        <Figure name="paths denied" value={one.denied} bad={(one.denied ?? 0) > 0} />
        <Figure name="paths observed" value={one.observed} />
        <Figure name="system calls blocked" value={one.blocked} bad={(one.blocked ?? 0) > 0} />
      </dl>
      {one.ended_at === null ? null : (
        <section>
          <h3>How it ended</h3>
          <p>
            {plain((one.reason ?? '').replaceAll('_', ' '))}
            {one.exit_code === null ? '' : `, exit code ${one.exit_code}`}, <Time at={one.ended_at} />.{' '}
            {one.absence_proven === true ? (
              <Tag tone="good">nothing left behind</Tag>
            ) : (
              <Tag tone="bad">absence not proven</Tag>
            )}
          </p>
          {one.receipt === null ? null : (
            <details>
              <summary>Signed receipt</summary>
              <Raw value={payloadOf(one.receipt)} />
              <p class="dim small mono hashes">sha256 {one.receipt_sha256}</p>
            </details>
          )}
        </section>
      )}
      <section>
        <h3>May hold</h3>
        <p class="chips">
          {one.capabilities.length === 0 ? <span class="dim">nothing</span> : null}
          {one.capabilities.map((name) => (
            <Code key={name}>{name}</Code>
          ))}
        </p>
      </section>
      {one.counters === null ? null : (
        <section>
          <h3>What the sandbox saw</h3>
          <ul class="bars">
            {[
              ...one.counters.denied.map((row) => ({ ...row, how: 'denied' })),
              ...one.counters.observed.map((row) => ({ ...row, how: 'observed' })),
            ]
              .sort((a, b) => b.count - a.count)
              .slice(0, 20)
              .map((row, index) => (
                <li key={index}>
                  <Tag tone={row.how === 'denied' ? 'bad' : ''}>{row.how}</Tag>
                  <Code>{row.path_class}</Code>
                  <span class="dim mono">{row.syscall}</span>
                  <b class="mono">{row.count}</b>
                </li>
              ))}
          </ul>
        </section>
      )}
      <section>
        <h3>
          Calls <a href={`#/audit?session=${encodeURIComponent(id)}`}>in the audit</a>
        </h3>
        <Failed text={calls.error} />
        <ol class="timeline">
          {rows.slice(0, 30).map((row) => (
            <li key={row.hash} class={toneOf(row.decision)}>
              <Time at={row.at} />
              <span class="event">{row.event}</span>
              <span class="mono cut">
                {row.method === null ? null : <i class="method">{plain(row.method)}</i>} {plain(row.path ?? '')}
              </span>
              <span class="dim">{plain(row.reason ?? (row.status === null ? '' : String(row.status)))}</span>
            </li>
          ))}
        </ol>
      </section>
    </article>
  );
}

const Figure = ({ name, value, bad = false }: { name: string; value: number | string | null; bad?: boolean }) => (
  <div class={bad ? 'bad' : ''}>
    <dt>{name}</dt>
    <dd>{value ?? '—'}</dd>
  </div>
);

function payloadOf(jws: string): unknown {
  try {
    const text = (jws.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))));
  } catch {
    return jws;
  }
}
