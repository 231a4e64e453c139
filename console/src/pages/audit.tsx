import { useEffect, useRef, useState } from 'preact/hooks';
import type { AuditListResponse, AuditRowJson, AuditVerifyResponse } from '../../../src/protocol.ts';
import { get } from '../api.ts';
import { go, place } from '../state.ts';
import { Act, Code, Empty, Failed, PageHead, plain, Raw, Tag, Time, toneOf, useLoad } from '../ui.tsx';

const FILTERS = ['agent', 'capability', 'decision', 'since', 'until', 'text', 'session', 'request_id'] as const;

/** As a field for a local time has it. */
function localOf(iso: string | null): string {
  if (iso === null) return '';
  const at = new Date(iso);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000)
    .toISOString()
    .slice(0, at.getSeconds() === 0 ? 16 : 19);
}

export function Audit() {
  const filter = place.value.query;
  const key = filter.toString();
  const [following, setFollowing] = useState(true);
  const [older, setOlder] = useState<{ rows: AuditRowJson[]; next: string | null } | null>(null);
  const [verified, setVerified] = useState<AuditVerifyResponse | null>(null);
  const latest = useRef(key);
  latest.current = key;
  // Followed anew, the list begins at its top again: what came meanwhile would be a gap before the older rows.
  useEffect(() => {
    if (following) setOlder(null);
  }, [following]);
  useEffect(() => setOlder(null), [key]);
  const given = Object.fromEntries(FILTERS.map((name) => [name, filter.get(name)]));
  const instant = (text: string | null | undefined): string | null => {
    const at = text ? new Date(text) : null;
    return at === null || Number.isNaN(at.getTime()) ? null : at.toISOString();
  };
  const query = { ...given, since: instant(given['since']), until: instant(given['until']) };
  const { data, error } = useLoad<AuditListResponse>(
    (signal) => get('/v1/audit', { ...query, limit: 50 }, signal),
    key,
    following ? 2000 : null,
  );
  const set = (name: string, value: string): void => {
    const next = new URLSearchParams(filter);
    if (value === '') next.delete(name);
    else next.set(name, value);
    go(`#/audit${next.size === 0 ? '' : `?${next}`}`);
  };
  const rows = [...(data?.rows ?? [])];
  const seen = new Set(rows.map((row) => row.hash));
  rows.push(...(older?.rows ?? []).filter((row) => !seen.has(row.hash)));
  const cursor = older === null ? (data?.next_cursor ?? null) : older.next;
  const more = async (): Promise<void> => {
    setFollowing(false);
    const page = await get<AuditListResponse>('/v1/audit', { ...query, limit: 50, cursor });
    // With all that is shown now: the top of the list may move on before the page has come.
    if (latest.current === key) setOlder({ rows: [...rows, ...page.rows], next: page.next_cursor });
  };
  const field = (name: (typeof FILTERS)[number], label: string, type: 'text' | 'datetime-local' = 'text') => (
    <label>
      {label}
      <input
        type={type as 'text'}
        name={name}
        value={type === 'text' ? (filter.get(name) ?? '') : localOf(instant(filter.get(name)))}
        onChange={(event) => {
          const text = event.currentTarget.value.trim();
          // In the address in UTC: whoever is sent it may live in another zone.
          set(name, type === 'text' ? text : (instant(text) ?? ''));
        }}
        {...(name === 'text' ? { 'data-search': true, placeholder: 'path, reason, operator …' } : {})}
      />
    </label>
  );
  return (
    <section class="page">
      <PageHead title="Audit">
        <label class="switch">
          <input type="checkbox" checked={following} onChange={() => setFollowing(!following)} />
          <span>Follow</span>
        </label>
        <a class="button" href="/v1/audit/export" download="keywarden-audit.ndjson">
          Export
        </a>
        <Act
          class="primary"
          hotkey="v"
          run={async () => setVerified(await get<AuditVerifyResponse>('/v1/audit/verify'))}
        >
          Verify the chain
        </Act>
      </PageHead>
      {verified === null ? null : <Verified result={verified} close={() => setVerified(null)} />}
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        {field('text', 'Text')}
        {field('agent', 'Agent')}
        {field('capability', 'Capability')}
        <label>
          Decision
          <select
            name="decision"
            value={filter.get('decision') ?? ''}
            onChange={(event) => set('decision', event.currentTarget.value)}
          >
            <option value="">any</option>
            <option value="allow">allow</option>
            <option value="deny">deny</option>
          </select>
        </label>
        {field('since', 'Since', 'datetime-local')}
        {field('until', 'Until', 'datetime-local')}
        {filter.get('request_id') === null && filter.get('session') === null ? null : (
          <button type="button" onClick={() => go('#/audit')}>
            Clear {filter.get('request_id') === null ? 'session' : 'request'}
          </button>
        )}
      </form>
      <Failed text={error} />
      {data?.text_since === undefined ? null : (
        <p class="notice">
          A search for a text looks back to <Time at={data.text_since} />; set Since to look further.
        </p>
      )}
      {data?.waiting_rows === undefined ? null : (
        <p class="notice">{data.waiting_rows} rows wait in the ledgers and are not listed yet.</p>
      )}
      <ol class="rows">
        {rows.map((row) => (
          <Row key={`${row.ledger}${row.seq}`} row={row} />
        ))}
      </ol>
      {data !== null && rows.length === 0 ? <Empty title="No rows">Nothing was recorded that fits.</Empty> : null}
      {cursor === null ? null : (
        <Act class="more" run={more}>
          Older rows
        </Act>
      )}
    </section>
  );
}

function Row({ row }: { row: AuditRowJson }) {
  const [open, setOpen] = useState(false);
  const what = row.path ?? row.capability ?? row.service ?? '';
  return (
    <li class={open ? 'row open' : 'row'}>
      <button type="button" class="row-head" data-row aria-expanded={open} onClick={() => setOpen(!open)}>
        <Time at={row.at} />
        <span class={`dot ${toneOf(row.decision)}`} aria-hidden="true" />
        <span class="event">{row.event}</span>
        <b class="agent cut">{plain(row.agent ?? row.operator ?? '—')}</b>
        <span class="mono cut what">
          {row.method === null ? null : <i class="method">{plain(row.method)}</i>} {plain(what)}
        </span>
        <span class="result">
          {row.unreadable === undefined ? null : <Tag tone="bad">altered: {plain(row.unreadable.join(', '))}</Tag>}
          {row.reason === null ? null : <Tag tone={row.decision === 'deny' ? 'bad' : ''}>{plain(row.reason)}</Tag>}
          {row.status === null ? null : <span class="mono">{row.status}</span>}
          {row.duration_ms === null ? null : <span class="dim mono">{Math.round(row.duration_ms)} ms</span>}
        </span>
      </button>
      {open ? (
        <div class="row-body">
          <ol class="chain" aria-label="Its place in the chain">
            <li>
              <span class="dim">{row.seq === 1 ? 'the chain begins' : `row ${row.seq - 1}`}</span>{' '}
              <Code>{row.prev_hash}</Code>
            </li>
            <li>
              <b>row {row.seq}</b> <Code>{row.hash}</Code>
            </li>
          </ol>
          <p class="facts">
            {row.capability === null ? null : <Code>{row.capability}</Code>}
            <a href={`#/audit?request_id=${encodeURIComponent(row.request_id)}`}>all rows of this request</a>
            {row.agent === null ? null : (
              <a href={`#/audit?agent=${encodeURIComponent(row.agent)}`}>all of {plain(row.agent)}</a>
            )}
            {row.agent === null ? null : (
              <a href={`#/stop?scope=agent&agent=${encodeURIComponent(row.agent)}`}>stop it</a>
            )}
          </p>
          <Raw value={row} />
        </div>
      ) : null}
    </li>
  );
}

function Verified({ result, close }: { result: AuditVerifyResponse; close: () => void }) {
  const cut = result.heads.filter((head) => head.cut !== undefined).length;
  return (
    <section class={`verified ${result.ok ? 'good' : 'bad'}`} role="status">
      <button type="button" class="quiet close" aria-label="Close" onClick={close}>
        ×
      </button>
      <h2>
        {result.ok
          ? 'The chain holds'
          : `The chain is broken in ${result.problems.length} ${result.problems.length === 1 ? 'place' : 'places'}`}
      </h2>
      <p>
        Read {result.rows.toLocaleString('en')} rows of {result.ledgers} {result.ledgers === 1 ? 'ledger' : 'ledgers'}{' '}
        from the database, hashed each again with the one before it, and compared the ends with the heads that the
        ledgers themselves keep.{cut === 0 ? '' : ` ${cut} begin where the retention cut them.`}
      </p>
      {result.problems.length === 0 ? null : (
        <ul class="problems">
          {/* A problem's text begins with its ledger and row. */}
          {result.problems.slice(0, 50).map(({ problem }, index) => (
            <li key={index}>{plain(problem)}</li>
          ))}
        </ul>
      )}
    </section>
  );
}
