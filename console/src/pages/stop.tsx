import { useState } from 'preact/hooks';
import type {
  PoliciesResponse,
  RevokeResponse,
  StopListResponse,
  StopPreview,
  StopResponse,
} from '../../../src/protocol.ts';
import { get, post } from '../api.ts';
import { may, place, say } from '../state.ts';
import { Act, Failed, PageHead, plain, Tag, Time, useLoad } from '../ui.tsx';

type Scope = 'token' | 'session' | 'agent' | 'service' | 'everything';
const FIELD: Readonly<Record<Scope, string | null>> = {
  token: 'token_id',
  session: 'session',
  agent: 'agent',
  service: 'service',
  everything: null,
};
const LABEL: Readonly<Record<Scope, string>> = {
  token: 'Token id',
  session: 'Session id',
  agent: 'Agent id',
  service: 'Service',
  everything: '',
};

/** Another address is another target: what was chosen before must not stand under it. */
export const Stop = () => <Target key={place.value.query.toString()} query={place.value.query} />;

function Target({ query }: { query: URLSearchParams }) {
  const [scope, setScope] = useState<Scope>((query.get('scope') as Scope | null) ?? 'agent');
  const [value, setValue] = useState(query.get(FIELD[scope] ?? '') ?? '');
  const [sure, setSure] = useState('');
  const [reason, setReason] = useState('');
  const field = FIELD[scope];
  const policies = useLoad<PoliciesResponse>((signal) => get('/v1/policies', {}, signal), 'policies');
  const standing = useLoad<StopListResponse>((signal) => get('/v1/stops', {}, signal), 'stops', 5000);
  const ready = field === null || value !== '';
  const preview = useLoad<StopPreview | null>(
    async (signal) =>
      ready
        ? get<StopPreview>('/v1/stops/preview', { scope, ...(field === null ? {} : { [field]: value }) }, signal)
        : null,
    `${scope} ${value}`,
    5000,
  );
  const choose = (next: Scope): void => {
    setScope(next);
    setValue('');
    setSure('');
  };
  const allowed = scope === 'service' || scope === 'everything' ? may('approve') : may('mint');
  const run = async (): Promise<void> => {
    if (scope === 'service' || scope === 'everything') {
      const done = await post<StopResponse>('/v1/stops', {
        scope,
        ...(scope === 'service' ? { service: value } : {}),
        ...(reason.trim() === '' ? {} : { reason: reason.trim() }),
      });
      say(`Stopped: ${done.tokens} tokens of ${done.agents.length} agents, ${done.sessions} sessions.`);
    } else {
      const body =
        scope === 'token' ? { token_id: value } : scope === 'session' ? { session_id: value } : { agent_id: value };
      const done = await post<RevokeResponse>('/v1/tokens/revoke', body);
      say(`Revoked the ${done.revoked}: it acts on the next call.`);
    }
    setSure('');
    standing.reload();
    preview.reload();
  };
  const hit = preview.data;
  return (
    <section class="page narrow">
      <PageHead title="Stop" />
      {standing.data === null || standing.data.stops.length === 0 ? null : (
        <ul class="alerts">
          {standing.data.stops.map((one) => (
            <li key={one.service}>
              <Tag tone="bad">stopped</Tag>{' '}
              <b>{one.scope === 'everything' ? 'Everything' : plain(one.service ?? '')}</b> by {plain(one.placed_by)}{' '}
              <Time at={one.placed_at} /> {one.reason === null ? null : <q>{plain(one.reason)}</q>}
              {may('approve') ? (
                <Act
                  run={async () => {
                    await post(
                      '/v1/stops/lift',
                      one.scope === 'everything' ? { scope: 'everything' } : { scope: 'service', service: one.service },
                    );
                    standing.reload();
                    say('Lifted. Tokens that were revoked stay dead; new ones may be given.');
                  }}
                >
                  Lift
                </Act>
              ) : null}
            </li>
          ))}
        </ul>
      )}
      <section class="panel stop-panel">
        <fieldset class="segmented" aria-label="What to stop">
          {(Object.keys(FIELD) as Scope[]).map((one) => (
            <button key={one} type="button" aria-pressed={scope === one} onClick={() => choose(one)}>
              {one}
            </button>
          ))}
        </fieldset>
        {scope === 'service' ? (
          <label>
            Service
            <select value={value} data-search onChange={(event) => setValue(event.currentTarget.value)}>
              <option value="">choose</option>
              {(policies.data?.services ?? []).map((one) => (
                <option key={one.service} value={one.service}>
                  {one.title}
                </option>
              ))}
            </select>
          </label>
        ) : field === null ? null : (
          <label>
            {LABEL[scope]}
            <input
              value={value}
              data-search
              spellcheck={false}
              onInput={(event) => setValue(event.currentTarget.value.trim())}
            />
          </label>
        )}
        <Failed text={ready ? preview.error : null} />
        {hit === null || !ready ? null : <Hit hit={hit} scope={scope} />}
        {scope === 'service' || scope === 'everything' ? (
          <label>
            Reason, for the audit
            <input value={reason} maxLength={500} onInput={(event) => setReason(event.currentTarget.value)} />
          </label>
        ) : null}
        {scope === 'everything' ? (
          <label>
            <span>
              Write <b>everything</b> to be sure
            </span>
            <input
              value={sure}
              name="sure"
              autoComplete="off"
              onInput={(event) => setSure(event.currentTarget.value)}
            />
          </label>
        ) : null}
        {allowed ? (
          <Act
            class="danger big-button"
            hotkey="s"
            disabled={!ready || (scope === 'everything' && sure !== 'everything')}
            run={run}
          >
            {scope === 'everything' ? 'Stop everything' : `Stop this ${scope}`}
          </Act>
        ) : (
          <p class="notice">
            This needs the role {scope === 'service' || scope === 'everything' ? 'approve' : 'mint'}.
          </p>
        )}
      </section>
    </section>
  );
}

function Hit({ hit, scope }: { hit: StopPreview; scope: Scope }) {
  const running = hit.sessions.filter((one) => one.running);
  const more = Math.max(0, hit.agents.length - 20) + Math.max(0, running.length - 20);
  return (
    <div class="hit" role="status">
      <p>
        Hits <b>{hit.tokens}</b> living {hit.tokens === 1 ? 'token' : 'tokens'} of <b>{hit.agents.length}</b>{' '}
        {hit.agents.length === 1 ? 'agent' : 'agents'}
        {running.length === 0 ? '' : `, ${running.length} running ${running.length === 1 ? 'session' : 'sessions'}`}. It
        acts on the next call
        {scope === 'service' || scope === 'everything' ? ', and no token is given until it is lifted' : ''}.
      </p>
      <p class="chips">
        {hit.agents.slice(0, 20).map((one) => (
          <code key={one.agent}>
            {plain(one.agent)} · {one.tokens}
          </code>
        ))}
        {running.slice(0, 20).map((one) => (
          <code key={one.session}>{plain(one.session)}</code>
        ))}
        {more > 0 ? <span class="dim">and {more} more</span> : null}
      </p>
    </div>
  );
}
