import { render } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { ConsoleSession } from '../../src/protocol.ts';
import { get, post, remove } from './api.ts';
import { Approvals } from './pages/approvals.tsx';
import { Audit } from './pages/audit.tsx';
import { Policies } from './pages/policies.tsx';
import { Sessions } from './pages/sessions.tsx';
import { linkRefused, SignIn } from './pages/sign-in.tsx';
import { Signals } from './pages/signals.tsx';
import { Stop } from './pages/stop.tsx';
import { complain, follow, go, live, may, me, pending, place, say, toast, tuneClock, unfollow } from './state.ts';
import './styles.css';
import { nextTheme } from './theme.ts';
import { Act, Brand, Empty, Icon, type IconName } from './ui.tsx';

const PAGES: { name: IconName; title: string; roles: string[]; page: () => preact.JSX.Element }[] = [
  { name: 'approvals', title: 'Approvals', roles: ['approve', 'audit'], page: Approvals },
  { name: 'sessions', title: 'Sessions', roles: ['audit'], page: Sessions },
  { name: 'audit', title: 'Audit', roles: ['audit'], page: Audit },
  { name: 'signals', title: 'Signals', roles: ['audit'], page: Signals },
  { name: 'policies', title: 'Policies', roles: ['audit', 'approve', 'mint'], page: Policies },
  { name: 'stop', title: 'Stop', roles: ['approve', 'mint'], page: Stop },
];

const KEYS: [string, string][] = [
  ['j / k', 'next, previous'],
  ['Enter', 'open'],
  ['a', 'approve (then Enter)'],
  ['d', 'deny (then Enter)'],
  ['s', 'stop (then Enter)'],
  ['v', 'verify the chain'],
  ['/', 'search'],
  ['1 – 6', 'pages'],
  ['t', 'light or dark'],
  ['Esc', 'back'],
  ['?', 'this help'],
];

function Help() {
  return (
    <dialog id="help" aria-labelledby="help-title">
      <h2 id="help-title">Keys</h2>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}
const openHelp = (): void => (document.getElementById('help') as HTMLDialogElement | null)?.showModal();
function move(step: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>('[data-row]')];
  const at = rows.indexOf(document.activeElement?.closest<HTMLElement>('[data-row]') as HTMLElement);
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || me.value?.operator == null) return;
  if (target.matches('input, textarea, select')) {
    if (event.key === 'Escape') target.blur();
    return;
  }
  if (document.querySelector('dialog[open]') !== null) return;
  const { key } = event;
  const page = PAGES[Number(key) - 1];
  if (key === 'j' || key === 'k') move(key === 'j' ? 1 : -1);
  else if (key === '/') document.querySelector<HTMLElement>('[data-search]')?.focus();
  else if (key === '?') openHelp();
  else if (key === 't') nextTheme();
  else if (page !== undefined && may(...page.roles)) go(`#/${page.name}`);
  else if (key === 'Escape' && place.value.id !== '') go(`#/${place.value.page}`);
  else {
    // Nothing is decided by one stroke: it brings the button, Enter presses it.
    const button = document.querySelector<HTMLElement>(`[data-hotkey="${CSS.escape(key)}"]`);
    if (button === null) return;
    button.focus();
    if (key === 'v') button.click();
  }
  event.preventDefault();
}

const LIVE = {
  live: { name: 'Live', title: 'Connected' },
  polling: { name: 'Polling', title: 'Asking every few seconds' },
  off: { name: 'Not following', title: 'What is shown may be old' },
} as const;

function App() {
  const who = me.value;
  const { page } = place.value;
  const allowed = PAGES.filter((one) => may(...one.roles));
  const current = PAGES.find((one) => one.name === page);
  const count = pending.value.length;
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    document.title = `${count > 0 ? `(${count}) ` : ''}${current?.title ?? 'Keywarden'} · Keywarden`;
  }, [count, current?.title]);
  useEffect(() => main.current?.scrollTo(0, 0), [page]);
  useEffect(() => {
    if (who?.operator != null && may('approve', 'audit')) follow();
    else unfollow();
  }, [who?.operator]);
  if (who === undefined) return <div class="loading" aria-busy="true" />;
  if (who.operator === null) return <SignIn />;
  const Page = current !== undefined && may(...current.roles) ? current.page : null;
  return (
    <div class="app">
      <nav class="side" aria-label="Pages">
        <Brand />
        <ul>
          {allowed.map((one) => (
            <li key={one.name}>
              <a href={`#/${one.name}`} aria-current={one.name === page ? 'page' : undefined} class={one.name}>
                <Icon name={one.name} />
                <span>{one.title}</span>
                {one.name === 'approvals' && count > 0 ? (
                  <b class="count">
                    {count}
                    <span class="sr"> pending</span>
                  </b>
                ) : null}
              </a>
            </li>
          ))}
        </ul>
        <div class="side-foot">
          <p class={`live ${live.value}`} title={LIVE[live.value].title}>
            {LIVE[live.value].name}
          </p>
          <p class="who" title={who.roles.join(', ')}>
            {who.operator}
          </p>
          <div class="side-tools">
            <button type="button" class="quiet" aria-label="Light or dark" onClick={nextTheme}>
              <Icon name="sun" />
            </button>
            <button type="button" class="quiet" aria-label="Keys" onClick={openHelp}>
              <Icon name="help" />
            </button>
            {who.by === 'cookie' ? (
              <Act
                class="quiet sign-out"
                run={async () => {
                  await remove('/v1/console/session');
                  me.value = { ...who, operator: null, roles: [] };
                }}
              >
                <span class="sr">Sign out</span>
                <Icon name="out" />
              </Act>
            ) : null}
          </div>
        </div>
      </nav>
      <main ref={main} id="main">
        {current === undefined ? (
          <Empty title="There is no such page">Choose one on the left.</Empty>
        ) : Page === null ? (
          <Empty title="Not for your roles">You have {who.roles.join(', ')}. Ask an admin for more.</Empty>
        ) : (
          <Page />
        )}
      </main>
      <div class="toasts" role="status" aria-live="polite">
        {toast.value === null ? null : <p class={toast.value.bad ? 'toast bad' : 'toast'}>{toast.value.text}</p>}
      </div>
      <Help />
    </div>
  );
}

async function begin(): Promise<void> {
  void tuneClock();
  const link = /^#signin=([A-Za-z0-9_-]{43})$/.exec(location.hash)?.[1];
  linkRefused.value = null;
  if (link !== undefined) {
    // Out of the address, and so of the history, before anything else.
    history.replaceState(null, '', '/console/');
    place.value = { page: 'approvals', id: '', query: new URLSearchParams() };
    try {
      me.value = await post<ConsoleSession>('/v1/console/session', { link });
      return;
    } catch (error) {
      linkRefused.value = (error as Error).message;
    }
  }
  try {
    me.value = await get<ConsoleSession>('/v1/console/session');
  } catch (error) {
    complain(error);
    me.value = { operator: null, roles: [], groups: [], by: null, expires_at: null };
  }
  const { operator } = me.value;
  if (linkRefused.value !== null && operator !== null)
    say(`The sign-in link was not taken (used, or too old): you are still signed in as ${operator}.`);
}

addEventListener('keydown', onKey);
// A link pasted into a tab where the page is open already changes the fragment alone.
addEventListener('hashchange', () => location.hash.startsWith('#signin=') && void begin());
render(<App />, document.getElementById('app') as HTMLElement);
void begin();
