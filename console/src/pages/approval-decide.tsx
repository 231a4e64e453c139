import { Fragment } from 'preact';
import { useState } from 'preact/hooks';
import type { ApprovalDetail, ApprovalJson } from '../../../src/protocol.ts';
import { post, Refusal } from '../api.ts';
import { go, may, me, merge, pending, say } from '../state.ts';
import { Act, duration, plain, Tag, Time, toneOf } from '../ui.tsx';

/**
 * The question whose heading gets the focus: the button that had it is gone with the decision. It is the next one, or the same
 * one, which now tells how it ended.
 */
let nextInFocus = '';

/** Whether it is this one's heading; it is told once. */
export function takesFocus(id: string): boolean {
  if (nextInFocus !== id) return false;
  nextInFocus = '';
  return true;
}

/** When the page itself went on to the next question: the second half of a double click is not meant for that one. */
let wentOnAt = Number.NEGATIVE_INFINITY;
const MEANT_AFTER_MS = 700;

export function Decide({ one, link, changed }: { one: ApprovalDetail; link: string | null; changed: () => void }) {
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

export function Outcome({ one, state }: { one: ApprovalDetail; state: string }) {
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
