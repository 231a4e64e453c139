import { Fragment } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApprovalDetail, ApprovalJson, ApprovalListResponse, ShownValue } from '../../../src/protocol.ts';
import { get, post, Refusal } from '../api.ts';
import { approvals, clock, go, live, lost, may, me, merge, pending, place, say, stateOf } from '../state.ts';
import {
  Act,
  Code,
  Countdown,
  duration,
  Empty,
  Failed,
  Icon,
  Missing,
  PageHead,
  plain,
  Tag,
  Time,
  toneOf,
  useLoad,
} from '../ui.tsx';

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
    if (nextInFocus !== id || heading.current === null) return;
    nextInFocus = '';
    heading.current.focus();
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

/**
 * The question whose heading gets the focus: the button that had it is gone with the decision. It is the next one, or the same
 * one, which now tells how it ended.
 */
let nextInFocus = '';

/** When the page itself went on to the next question: the second half of a double click is not meant for that one. */
let wentOnAt = Number.NEGATIVE_INFINITY;
const MEANT_AFTER_MS = 700;

function Decide({ one, link, changed }: { one: ApprovalDetail; link: string | null; changed: () => void }) {
  const [reason, setReason] = useState('');
  const mine = one.votes.some((vote) => vote.operator === me.value?.operator);
  const decide = async (verdict: 'approve' | 'deny', scope?: 'once' | 'alike'): Promise<void> => {
    if (performance.now() - wentOnAt < MEANT_AFTER_MS) return;
    const send = (by: object): Promise<ApprovalJson> =>
      post<ApprovalJson>(`/v1/approvals/${one.id}/${verdict}`, {
        ...(scope === undefined ? {} : { scope }),
        ...(reason.trim() === '' ? {} : { reason: reason.trim() }),
        ...by,
        via: 'console',
      });
    // The link of a message serves the first of two people; the other is signed in just as well.
    const done = await (link === null
      ? send({})
      : send({ link }).catch((error: unknown) => {
          if (error instanceof Refusal && error.code === 'link_invalid') return send({});
          throw error;
        }));
    merge([done]);
    changed();
    say(
      done.state === 'pending'
        ? `You agreed. ${done.needed - done.votes.length} more must.`
        : `${verdict === 'deny' ? 'Denied' : 'Approved'}: ${plain(one.title)}`,
    );
    if (done.state === 'pending') return;
    const next = link === null ? pending.value.find((other) => other.id !== one.id) : undefined;
    nextInFocus = next?.id ?? one.id;
    if (next === undefined) return;
    wentOnAt = performance.now();
    go(`#/approvals/${next.id}`);
  };
  const { once, alike } = one.would_allow;
  return (
    <section class="decide" aria-label="Decide">
      <ul class="allows">
        <li>
          <b>Once</b> allows exactly this request, one time, within {duration(once.seconds)}, while its token lives. A
          changed byte is a new question.
        </li>
        {alike === null ? null : (
          <li>
            <b>Alike</b> allows up to {alike.calls} calls in {duration(alike.seconds)}, while its token lives
            {alike.pattern.length === 0 ? '' : ', with'}
            {alike.pattern.map(({ name, value }) => (
              <Fragment key={name}>
                {' '}
                <code>
                  {plain(name)} = {plain(value)}
                </code>
              </Fragment>
            ))}
          </li>
        )}
        {one.needed > 1 ? (
          <li>
            <b>Two people</b> must agree: {one.votes.length} of {one.needed} have
            {one.votes.length === 0 ? '' : ` (${one.votes.map((vote) => vote.operator).join(', ')})`}.
          </li>
        ) : null}
        {one.reviewers === null ? null : (
          <li>
            Only <b>{plain(one.reviewers)}</b> may decide.
          </li>
        )}
      </ul>
      {may('approve') ? (
        <>
          <label class="reason">
            Reason, for the audit
            <input value={reason} maxLength={500} onInput={(event) => setReason(event.currentTarget.value)} />
          </label>
          <div class="buttons">
            <Act class="primary" hotkey="a" disabled={mine} run={() => decide('approve', 'once')}>
              {mine ? 'You agreed' : 'Approve once'}
            </Act>
            {alike === null ? null : (
              <Act disabled={mine} run={() => decide('approve', 'alike')}>
                Approve alike
              </Act>
            )}
            <Act class="danger" hotkey="d" run={() => decide('deny')}>
              Deny
            </Act>
          </div>
        </>
      ) : (
        <p class="notice">You may look. Deciding needs the role approve.</p>
      )}
    </section>
  );
}

function Outcome({ one, state }: { one: ApprovalDetail; state: string }) {
  return (
    <section class="decide" aria-label="Decision">
      <p>
        <Tag tone={toneOf(state)}>{state}</Tag>{' '}
        {one.decided_by === null ? null : (
          <>
            by <b>{plain(one.decided_by)}</b> ({one.decided_via})
          </>
        )}{' '}
        {one.decided_at === null ? null : <Time at={one.decided_at} />}
      </p>
      {one.reason === null ? null : <p>“{plain(one.reason)}”</p>}
      {one.allows === null ? null : (
        <p class="dim">
          {one.allows.used} of {one.allows.calls} {one.allows.calls === 1 ? 'call' : 'calls'} used.
        </p>
      )}
    </section>
  );
}

function Body({ body }: { body: ApprovalDetail['body'] }) {
  const size = `${body.bytes.toLocaleString('en')} bytes${body.content_type === null ? '' : ` of ${plain(body.content_type)}`}`;
  if (body.form === 'none') return <p class="dim">No body.</p>;
  return (
    <>
      {body.unreadable === null ? null : (
        <p class="notice">
          Not read strictly: {plain(body.unreadable.replaceAll('_', ' '))}. What the service makes of it may differ.
        </p>
      )}
      {body.value === null ? (
        <p class="dim mono">binary · sha256 {body.sha256}</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <section class="tree mono" tabIndex={0} aria-label="Body">
          <Tree node={body.value as ShownValue} />
        </section>
      )}
      <p class="dim small">{size}</p>
    </>
  );
}

function Tree({ node, name }: { node: ShownValue; name?: string }) {
  const label = name === undefined ? null : <span class="tree-name">{plain(name)}</span>;
  if (node.kind === 'object' || node.kind === 'list') {
    const children =
      node.kind === 'object'
        ? node.entries.map((entry, index) => <Tree key={index} name={entry.name} node={entry.value} />)
        : node.items.map((item, index) => <Tree key={index} name={String(index)} node={item} />);
    const count = children.length + node.more;
    return (
      <details open>
        <summary>
          {label}
          <span class="dim">{node.kind === 'object' ? '{…}' : count === 1 ? '1 item' : `${count} items`}</span>
        </summary>
        {children}
        {node.more > 0 ? <p class="dim">and {node.more} more</p> : null}
      </details>
    );
  }
  return (
    <p class="leaf">
      {label}
      <span class={`value ${node.kind}`}>{leafText(node)}</span>
      {node.kind === 'string' && node.masked === true ? <Tag tone="warn">masked</Tag> : null}
      {node.kind === 'string' && node.length !== undefined ? (
        <span class="small unseen"> … not all is shown: {node.length.toLocaleString('en')} characters</span>
      ) : null}
      {node.kind === 'number' && node.inexact === true ? (
        <span class="small unseen"> … too large to be shown exactly</span>
      ) : null}
    </p>
  );
}

function leafText(node: Exclude<ShownValue, { kind: 'object' | 'list' }>): string {
  switch (node.kind) {
    case 'string':
      return plain(node.text);
    case 'number':
      return node.text;
    case 'boolean':
      return String(node.value);
    case 'cut':
      return '… not shown';
    case 'null':
      return 'null';
  }
}
