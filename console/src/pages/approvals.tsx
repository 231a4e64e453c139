import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApprovalDetail, ApprovalJson, ApprovalListResponse } from '../../../src/protocol.ts';
import { get } from '../api.ts';
import { approvals, clock, live, lost, pending, place, stateOf } from '../state.ts';
import { Code, Countdown, Empty, Failed, Icon, Missing, PageHead, plain, Tag, Time, toneOf, useLoad } from '../ui.tsx';
import { Body } from './approval-body.tsx';
import { Decide, Outcome, takesFocus } from './approval-decide.tsx';

const DECIDED = ['approved', 'denied', 'expired', 'used'] as const;

export function Approvals() {
  const [past, setPast] = useState(false);
  const older = useLoad<{ approvals: ApprovalJson[]; more: boolean }>(
    async (signal) => {
      if (!past) return { approvals: [], more: false };
      // Each by itself: many that wait leave no room for the decided ones in a list of all.
      const pages = await Promise.all(
        DECIDED.map((state) => get<ApprovalListResponse>('/v1/approvals', { state, limit: 50 }, signal)),
      );
      return {
        approvals: pages.flatMap((page) => page.approvals),
        more: pages.some((page) => page.next_cursor !== null),
      };
    },
    past ? 'past' : 'now',
    past ? 5000 : null,
  );
  const { id, query } = place.value;
  const decided = new Map((older.data?.approvals ?? []).map((one) => [one.id, one]));
  for (const one of approvals.value.values()) decided.set(one.id, one);
  const list = past
    ? [...decided.values()]
        .filter((one) => stateOf(one, clock.value) !== 'pending')
        .sort((a, b) => b.created_at.localeCompare(a.created_at))
    : pending.value;
  return (
    <section class={`split ${id === '' ? '' : 'open'}`}>
      <div class="split-list">
        <PageHead title="Approvals">
          <fieldset class="segmented" aria-label="Which">
            <button type="button" aria-pressed={!past} onClick={() => setPast(false)}>
              Pending{pending.value.length > 0 ? ` ${pending.value.length}` : ''}
            </button>
            <button type="button" aria-pressed={past} onClick={() => setPast(true)}>
              Decided
            </button>
          </fieldset>
        </PageHead>
        <Failed text={past ? older.error : lost.value} />
        <ul class="cards">
          {list.map((one) => (
            <li key={one.id}>
              <Card approval={one} open={one.id === id} />
            </li>
          ))}
        </ul>
        {past && older.data?.more ? (
          <p class="dim small">
            The newest of each kind are shown. <code>npx keywarden approvals list --all --limit 200</code> shows more.
          </p>
        ) : null}
        {list.length > 0 ? null : past ? (
          <Empty title="Nothing decided yet" />
        ) : live.value === 'off' ? (
          lost.value === null ? (
            <div class="loading" aria-busy="true" />
          ) : null
        ) : (
          <Empty title="Nobody waits">
            When an agent asks for something that wants a person, it appears here at once.
          </Empty>
        )}
      </div>
      <div class="split-detail">
        {id === '' ? (
          <Empty title="No question open">Choose one on the left: j, k and Enter.</Empty>
        ) : (
          <Detail id={id} link={query.get('link')} key={id} />
        )}
      </div>
    </section>
  );
}

function Card({ approval, open }: { approval: ApprovalJson; open: boolean }) {
  const state = stateOf(approval, clock.value);
  return (
    <a class="card" data-row href={`#/approvals/${approval.id}`} aria-current={open ? 'true' : undefined}>
      <span class="card-top">
        <b>{plain(approval.agent_id)}</b>
        {state === 'pending' ? (
          <Countdown from={approval.created_at} to={approval.expires_at} />
        ) : (
          <Tag tone={toneOf(state)}>{state}</Tag>
        )}
      </span>
      <span class="card-title">{plain(approval.title)}</span>
      <span class="card-line mono">
        <i class="method">{approval.method}</i> {plain(approval.url.replace(/^https?:\/\//, ''))}
      </span>
      {approval.needed > 1 ? (
        <span class="dim small">
          {approval.votes.length} of {approval.needed} people agreed
        </span>
      ) : null}
    </a>
  );
}

function Detail({ id, link }: { id: string; link: string | null }) {
  const known = approvals.value.get(id);
  const loaded = useLoad<ApprovalDetail>(
    (signal) => get(`/v1/approvals/${encodeURIComponent(id)}`, {}, signal),
    `${id} ${known?.state} ${known?.votes.length}`,
  );
  const [kept, setKept] = useState<ApprovalDetail | null>(null);
  if (loaded.data !== null && loaded.data !== kept) setKept(loaded.data);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (heading.current !== null && takesFocus(id)) heading.current.focus();
  });
  const one = loaded.data ?? kept;
  const back = (
    <a class="back" href="#/approvals">
      <Icon name="back" /> All approvals
    </a>
  );
  if (one === null) return <Missing back={back} error={loaded.error} />;
  const state = stateOf({ ...one, ...(known ?? {}) }, clock.value);
  return (
    <article class="detail">
      {back}
      <header>
        <p class="eyebrow">
          <b>{plain(one.agent_id)}</b> asks to
        </p>
        <h2 tabIndex={-1} ref={heading}>
          {plain(one.title)}
        </h2>
        <p class="request mono">
          <i class="method">{one.method}</i> {plain(one.url)}
        </p>
        <p class="facts">
          <Tag tone={toneOf(state)}>{state}</Tag>
          {state === 'pending' ? <Countdown from={one.created_at} to={one.expires_at} /> : null}
          <span>
            {plain(one.service_title)} · <Code>{one.capability}</Code>
          </span>
          {one.session_id === null ? null : (
            <a href={`#/sessions/${encodeURIComponent(one.session_id)}`} class="mono">
              {plain(one.session_id)}
            </a>
          )}
          {one.asks > 1 ? <span>asked {one.asks} times</span> : null}
        </p>
        {one.description === '' ? null : <p class="dim">{plain(one.description)}</p>}
        {one.because === null ? null : (
          <p class="dim small">
            A person is asked because <Code>{one.because}</Code>
          </p>
        )}
      </header>
      {state === 'pending' ? (
        <Decide one={one} link={link} changed={loaded.reload} />
      ) : (
        <Outcome one={one} state={state} />
      )}
      <section>
        <h3>What is sent</h3>
        <Body body={one.body} />
        {one.headers.length === 0 ? null : (
          <dl class="pairs mono">
            {one.headers.map(({ name, value }) => (
              <div key={name}>
                <dt>{plain(name)}</dt>
                <dd>{plain(value)}</dd>
              </div>
            ))}
          </dl>
        )}
      </section>
      <section>
        <h3>What it did in the last minutes</h3>
        {one.recent.length === 0 ? <p class="dim">Nothing was recorded.</p> : null}
        <ol class="timeline">
          {one.recent.map((row, index) => (
            <li key={index} class={toneOf(row.decision)}>
              <Time at={row.at} />
              <span class="event">{row.event}</span>
              <span class="mono cut">
                {row.method === null ? '' : <i class="method">{row.method}</i>}{' '}
                {plain(row.path ?? row.capability ?? '')}
              </span>
              <span class="dim">{plain(row.reason ?? (row.status === null ? '' : String(row.status)))}</span>
            </li>
          ))}
        </ol>
      </section>
      <p class="dim small mono hashes">request {one.request_hash}</p>
    </article>
  );
}
